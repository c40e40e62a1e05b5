"""What is looked at before Hydra composes a run: secrets, files of others, and Hydra's own parts.

Hydra makes its callbacks and its log before a run sees any configuration, so what they may be is
settled here. Knows Hydra's command line; does not know what a run is.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from evoforge.errors import ConfigError
from evoforge.plain_yaml import documents
from evoforge.secrets import secrets
from evoforge.visible import one_line

# Folders below that of --config-dir: Hydra's groups have groups, and no more.
DEPTH = 4
MOST_FILES = 5000
LARGEST = 1 << 20  # bytes of a file of options
CALLBACKS = r"evoforge\.config\.Sweep"
# Launchers and sweepers, which Hydra itself takes from such packages only, and what is in them.
PLUGINS = r"(hydra_plugins|hydra\._internal\.core_plugins|optuna\.samplers)(\.[a-z_]\w*)*\.[A-Z]\w*"
LOGS = (
    r"logging\.(Stream|File|Null)Handler|logging\.handlers\.(Timed)?RotatingFileHandler"
    r"|logging\.Formatter|rich\.logging\.RichHandler|colorlog\.ColoredFormatter"
    r"|evoforge\.logged\.Plain"
)
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
MADE = ("()", "class")


def check_secrets(content: Any) -> None:
    """Refuse a secret in what is kept, shown and sent.

    Args:
        content: a configuration, or options as they are given.

    Raises:
        ConfigError: there is one; which option, and never the secret.
    """
    for name, kind in secrets(content):
        where = f"{name} holds" if name else "the options hold"
        raise ConfigError(
            f"{where} {kind}, which the journal would keep and reports would show; take it out: "
            "the hub and W&B find their keys in the environment"
        )


def check(arguments: Sequence[str], conf: Path, name: str) -> None:
    """Refuse arguments that hold a secret, and files that would run something or fill the memory.

    Args:
        arguments: of the command line.
        conf: the folder of options.
        name: of its main file.

    Raises:
        ConfigError: what is wrong, and where.
    """
    given = get_args_parser().parse_args(list(arguments))
    for override in given.overrides:
        key, _, value = override.partition("=")
        check_secrets({key.lstrip("+~"): value})
    folder = None if given.config_dir is None else Path(given.config_dir).absolute()
    if folder is not None and folder.is_dir():
        for path in _files(folder):
            _check_file(path)
    # Nothing else can change Hydra's own options: those of this package are known.
    if folder is None and not any("hydra" in override for override in given.overrides):
        return
    _check_hydra(_composed(folder, conf, given.config_name or name, given.overrides))


def _files(folder: Path) -> Iterator[Path]:
    count = 0
    for place, inside, names in os.walk(folder):
        deep = len(Path(place).relative_to(folder).parts)
        inside[:] = [each for each in inside if deep < DEPTH and not each.startswith(".")]
        for each in names:
            if each.endswith((".yaml", ".yml")):
                count += 1
                if count > MOST_FILES:
                    raise ConfigError(
                        f"{folder} holds more than {MOST_FILES} YAML files; set --config-dir to a "
                        "folder of options only"
                    )
                yield Path(place) / each


def _check_file(path: Path) -> None:
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"it has more than {LARGEST:,} bytes")
        for content in documents(path.read_text("utf-8")):
            check_secrets(content)
            _check_logs(content)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"cannot read {path}: {reason}; set --config-dir") from error
    except ConfigError as error:
        raise ConfigError(f"{path} cannot be used: {error}") from error


def _composed(
    folder: Path | None, conf: Path, name: str, overrides: Sequence[str]
) -> dict[str, Any]:
    """Return Hydra's own options as it will compose them, with nothing put in or made."""
    search = create_config_search_path(str(conf))
    if folder is not None:
        place = SearchPathQuery(provider="schema")
        search.prepend(provider="command-line", path=f"file://{folder}", anchor=place)
    try:
        hydra = Hydra.create_main_hydra2(task_name="run", config_search_path=search)
        found = hydra.compose_config(
            config_name=name,
            overrides=list(overrides),
            run_mode=RunMode.MULTIRUN,  # or lists of values would be refused
            validate_sweep_overrides=False,
        )
    finally:
        GlobalHydra.instance().clear()
    content = OmegaConf.to_container(found.hydra, resolve=False)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def _check_hydra(content: dict[str, Any]) -> None:
    """Refuse Hydra's options where they name what is to be called."""
    for name, node in (content.get("callbacks") or {}).items():
        if not isinstance(node, dict) or set(node) != {"_target_"}:
            raise ConfigError(f"hydra.callbacks.{name} is none of evoforge's; take it out")
        _check_named(f"hydra.callbacks.{name}", node["_target_"], CALLBACKS)
    for part in ("launcher", "sweeper"):
        for target in _values(content.get(part), ("_target_",)):
            _check_named(f"hydra.{part}", target, PLUGINS)
    for part in ("job_logging", "hydra_logging"):
        _check_logs(content.get(part))
    check_secrets({"hydra": {"job": {"env_set": (content.get("job") or {}).get("env_set")}}})


def _check_logs(content: Any) -> None:
    for target in _values(content, MADE):
        if isinstance(target, str) and "." in target:
            _check_named("the log", target, LOGS)
    for value in _values(content, ("stream",)):
        if str(value).startswith("ext://") and value not in STREAMS:
            raise ConfigError(f"the log goes to {value}; choose {' or '.join(STREAMS)}")


def _check_named(option: str, target: Any, known: str) -> None:
    """Refuse what is not known; a plugin's module may hold os or subprocess, too."""
    parts = target.split(".") if isinstance(target, str) else []
    known_ = isinstance(target, str) and re.fullmatch(known, target)
    if not known_ or (parts[0] != "logging" and not sys.stdlib_module_names.isdisjoint(parts[1:])):
        raise ConfigError(
            f"{option} names {one_line(str(target), 100)}, which would be called before the run "
            "begins; take it out, or call it in a program of your own"
        )


def _values(content: Any, keys: Sequence[str]) -> Iterator[Any]:
    """Yield what stands under some keys, however deep."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key in keys:
                yield value
            yield from _values(value, keys)
    elif isinstance(content, list):
        for value in content:
            yield from _values(value, keys)
