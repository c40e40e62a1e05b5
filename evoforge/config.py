"""The only door from YAML to objects, and the sentences for what users mistype on the way.

Knows Hydra and OmegaConf; only run.py imports it. The constructors are the schema: an option is
whatever a class's `__init__` takes, and its annotation says what may be given.
"""

import difflib
import inspect
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.experimental.callback import Callback
from hydra.utils import get_class, get_method, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evoforge.earlier import completed
from evoforge.errors import ConfigError, EvoforgeError, JournalError

# Options that may change when a run goes on: they decide where and how long, never what.
CHANGEABLE = ("budget", "executor", "tracker", "data_dir", "examples", "resume")

# File systems take 255 bytes.
LONGEST_NAME = 200

# Submitit starts all runs of a sweep at once here, and their threads would wait for each other.
ALL_AT_ONCE = "submitit_launcher.LocalLauncher"

PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


class Sweep(Callback):
    """Remembers, in the process that starts a sweep, where its runs lie.

    Attributes:
        folder: of the sweep; None where there is none.
        detached: whether its runs are processes that go on if this one is told to stop.
    """

    folder: ClassVar[Path | None] = None
    detached: ClassVar[bool] = False

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra before the first run."""
        del kwargs
        Sweep.folder = Path(config.hydra.sweep.dir)
        Sweep.detached = config.hydra.launcher._target_.endswith(ALL_AT_ONCE)
        if Sweep.detached:
            os.environ.setdefault("OMP_NUM_THREADS", "1")


def run_name(*parts: Any) -> str:
    """Return what the folder of a sweep's run is called: `run_name("seed", 0)` is `seed=0`.

    Whatever is swept over, the name is no path that leads elsewhere.

    Args:
        parts: names and values in turn.
    """
    pairs = zip(parts[::2], parts[1::2], strict=True)
    named = [f"{name}={'null' if value is None else value}" for name, value in pairs]
    return re.sub(r"[^\w.,=+-]", "_", ",".join(named))[:LONGEST_NAME]


# Here and not in run.py, which the processes that some launchers start do not import.
OmegaConf.register_new_resolver("run_folder", lambda resume, fresh: resume or fresh, replace=True)
OmegaConf.register_new_resolver("run_name", run_name, replace=True)


def build(node: Mapping[str, Any], option: str, **runtime: Any) -> Any:
    """Make the object of a configuration node.

    Args:
        node: `_target_`, and the constructor's options.
        option: the node's name as the user types it, such as `merge`.
        runtime: objects that do not come from YAML.

    Raises:
        ConfigError: an option is unknown, of the wrong type, or refused by the constructor.
    """
    called = _load(node, option)
    _check_options(called, node, option)
    try:
        partial = instantiate(_with_makers(called, node), _partial_=True, _convert_="all")
    except InstantiationException as error:
        # A nested object refused its options: its own sentence is the one that helps.
        if isinstance(error.__cause__, EvoforgeError):
            raise error.__cause__ from None
        raise ConfigError(f"{option}: {str(error).splitlines()[0]}") from error
    return partial(**runtime)


def _load(node: Mapping[str, Any], option: str) -> Any:
    """Return the class or function that a node names."""
    target = str(node.get("_target_"))
    is_class = target.rpartition(".")[2][:1].isupper()
    try:
        return get_class(target) if is_class else get_method(target)
    except (ImportError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{option} names {target}, which cannot be loaded: {reason}") from error


def _check_options(called: Any, node: Mapping[str, Any], option: str) -> None:
    function = called.__init__ if inspect.isclass(called) else called
    hints = get_type_hints(function)
    parameters = inspect.signature(called).parameters.values()
    known = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    for key, value in node.items():
        if key.startswith("_") and key.endswith("_"):
            continue
        if key not in known:
            raise ConfigError(
                f"{option} has no option {key}{_guess(key, known)}; it has {', '.join(known)}"
            )
        for name, inner in _nodes(key, value, hints[key]).items():
            _check_options(_load(inner, f"{option}.{name}"), inner, f"{option}.{name}")
        if _nodes(key, value, hints[key]):
            continue
        if wanted := _mismatch(value, hints[key]):
            raise ConfigError(f"{key} must be {wanted}, got {value!r}; set {option}.{key}")


def _nodes(key: str, value: Any, hint: Any) -> dict[str, Mapping[str, Any]]:
    """Return the configuration nodes that an option holds, by their names below the parent's."""
    if not isinstance(value, Mapping):
        return {}
    if "_target_" in value:
        return {key: value}
    if get_origin(hint) is not Mapping or get_origin(get_args(hint)[1]) is not Callable:
        return {}
    for name, inner in value.items():
        if not isinstance(inner, Mapping) or "_target_" not in inner:
            raise ConfigError(f"{key}.{name} must be an option with its settings, got {inner!r}")
    return {f"{key}.{name}": inner for name, inner in value.items()}


def _with_makers(called: Any, node: Mapping[str, Any]) -> dict[str, Any]:
    """Leave nested objects unmade where a constructor wants to make them itself.

    It says so by an annotation: `ps: Callable[..., Merger]`, or a mapping of such.
    """
    hints = get_type_hints(called.__init__ if inspect.isclass(called) else called)

    def unmade(key: str, value: Any) -> Any:
        hint = hints.get(key)
        if not isinstance(value, Mapping):
            return value
        if get_origin(hint) is Callable:
            return maker(key, value)
        if _nodes(key, value, hint) and "_target_" not in value:
            return {name: maker(f"{key}.{name}", inner) for name, inner in value.items()}
        return value

    def maker(key: str, value: Mapping[str, Any]) -> dict[str, Any]:
        return {**_with_makers(_load(value, key), value), "_partial_": True}

    return {key: unmade(key, value) for key, value in node.items()}


def _mismatch(value: Any, hint: Any) -> str | None:
    """Return what a value must be instead, or None if it fits its annotation."""
    origin, inside = get_origin(hint), get_args(hint)
    if hint is Any:
        return None
    if origin in (Union, UnionType):
        found = [_mismatch(value, each) for each in inside]
        return None if None in found else " or ".join(filter(None, found))
    if origin is Literal:
        return None if value in inside else f"one of {', '.join(map(str, inside))}"
    if hint is NoneType:
        return None if value is None else "null"
    if hint is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        return None if fits else PLAIN[float]
    if hint is int:
        fits = isinstance(value, int) and not isinstance(value, bool)
        return None if fits else PLAIN[int]
    if hint in PLAIN:
        return None if isinstance(value, hint) else PLAIN[hint]
    if origin is Callable:
        return "a mapping with _target_"  # one that has it is looked into instead
    if origin is not None and issubclass(origin, Mapping):
        return None if isinstance(value, Mapping) else "a mapping"
    if origin is not None and issubclass(origin, Sequence):
        if isinstance(value, str) or not isinstance(value, Sequence):
            return "a list"
        wrong = [wanted for each in value if (wanted := _mismatch(each, inside[0]))]
        return f"a list, each {wrong[0]}" if wrong else None
    return None


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """Return the whole configuration as plain values.

    Raises:
        ConfigError: an interpolation or a value is missing.
    """
    try:
        content = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def check_unchanged(
    recorded: str, now: Mapping[str, Any], folder: Path, *, budget_too: bool = False
) -> None:
    """Refuse to go on with other options than a run was started with.

    Args:
        recorded: the run's configuration as JSON.
        now: the configuration as it is now.
        folder: the run's folder.
        budget_too: whether the budget may not change either, because the search is over.

    Raises:
        JournalError: something that decides the result has changed: what, and from what to what.
    """
    after = dict(flat(completed(json.loads(json.dumps(now)))))
    before = dict(flat(completed(json.loads(recorded))))
    free = {key for key in CHANGEABLE if not (budget_too and key == "budget")}
    changes = [
        f"{key}: {before.get(key)} -> {after.get(key)}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key) and key.split(".")[0] not in free
    ]
    if changes:
        raise JournalError(
            f"{folder} was started with other options ({'; '.join(changes)}); "
            "leave them as they were, or start a new run in another folder"
        )


def flat(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every option of nested mappings with its full name."""
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, content


def sentence(error: HydraException | OmegaConfBaseException, known: Sequence[str]) -> str:
    """Return one sentence for what Hydra could not compose.

    Args:
        error: Hydra's or OmegaConf's error.
        known: the full names of all options, for a guess at what was meant.
    """
    text = str(error)
    if isinstance(error, OverrideParseException):
        return (
            f"cannot read the option {error.override!r}: {text.splitlines()[0]}; "
            "put quotes round values with brackets, commas or spaces"
        )
    if isinstance(error, MissingConfigException):
        missing = re.search(r"Could not find '([^']+)'", text)
        options = re.search(
            r"Available options in '([^']+)':\s*(.+?)(\n\s*\n|$|Config search)", text, re.S
        )
        if missing and options:
            group, _, name = missing.group(1).rpartition("/")
            choices = options.group(2).split()
            return (
                f"{group} has no option {name}{_guess(name, choices)}; "
                f"choose from {', '.join(choices)}"
            )
    if text.startswith("Ambiguous value"):
        return f"{text.splitlines()[0]}: several values need -m, which makes a run of each"
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        key = unknown.group(1).lstrip("+~")
        return f"there is no option {key}{_guess(key, known)}; see python run.py --help"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return f"there is no option {error.missing_cfg_file}; see python run.py --help"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:2])


def _guess(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, [name for name in known if name != word], n=1)
    return f" (did you mean {near[0]}?)" if near else ""
