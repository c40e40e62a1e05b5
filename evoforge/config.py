"""The only door from YAML to objects, and the sentences for what users mistype on the way.

Knows Hydra and OmegaConf; only run.py imports it. The constructors are the schema: an option is
whatever a class's `__init__` takes, and its annotation says what may be given.
"""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evoforge.building import build as build
from evoforge.building import guess
from evoforge.earlier import completed
from evoforge.errors import ConfigError, JournalError
from evoforge.startup import check_secrets
from evoforge.visible import HIDDEN

# Options that may change when a run goes on: they decide where and how long, never what.
CHANGEABLE = ("budget", "executor", "tracker", "data_dir", "examples", "resume", "push_to_hub")

# File systems take 255 bytes.
LONGEST_NAME = 200

# Submitit starts all runs of a sweep at once here, and their threads would wait for each other.
ALL_AT_ONCE = "submitit_launcher.LocalLauncher"


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


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """Return the whole configuration as plain values that a journal can keep and anyone may see.

    Raises:
        ConfigError: an interpolation or a value is missing, or a value is not finite, no text, or
            a secret.
    """
    try:
        content = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_unresolved(error)) from error
    assert isinstance(content, dict)
    named: dict[str, Any] = _named(content)
    for name, value in flat(named):
        _check_plain(name, value)
    check_secrets(named)
    return named


def _unresolved(error: OmegaConfBaseException) -> str:
    """Return one sentence for what OmegaConf could not make a value of."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    line = re.sub(r"^\w+ raised while resolving interpolation: ", "", line)
    name = error.full_key or ""
    return f"{line}; set {name}" if name and name not in line else line


def _check_plain(name: str, value: Any) -> None:
    """Refuse what a journal cannot keep."""
    if isinstance(value, list | tuple):
        for each in value:
            for inner, plain in flat(each, name):
                _check_plain(inner, plain)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name} must be finite, got {value}; set {name}")
    elif found := HIDDEN.search(f"{name}{value}"):
        # It would stand in tables, reports and the journal.
        raise ConfigError(f"{name} must be text, and holds {found[0]!a}; set {name}")


def _named(content: Any) -> Any:
    """Return nested mappings whose keys are all texts, as in a journal: `{0: 20GiB}` has one."""
    if isinstance(content, Mapping):
        return {str(key): _named(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_named(value) for value in content]
    return content


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
                f"{group} has no option {name}{guess(name, choices)}; "
                f"choose from {', '.join(choices)}"
            )
    if text.startswith("Ambiguous value"):
        return f"{text.splitlines()[0]}: several values need -m, which makes a run of each"
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        key = unknown.group(1).lstrip("+~")
        return f"there is no option {key}{guess(key, known)}; see python run.py --help"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return f"there is no option {error.missing_cfg_file}; see python run.py --help"
    if isinstance(error, OmegaConfBaseException):
        return _unresolved(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:2])
