"""Runs to be compared: found in folders, and each read as far as it got.

Reads records only; finds nothing out about several of them but whether their scores compare.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evoforge.earlier import completed
from evoforge.errors import ConfigError, JournalError
from evoforge.opened import opened
from evoforge.record import FILE, WINNER, Record
from evoforge.report.curves import Curve, curve
from evoforge.report.difference import Settings, flatten, implied
from evoforge.report.history import histories
from evoforge.report.over_seeds import Answers, answers_of
from evoforge.report.ranks import Ranking
from evoforge.report.result import build, fact

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One run, as far as it got.

    Args:
        name: its folder, seen from the common parent.
        status: `finished`, `unfinished`, `failed`, `not started`, or `unreadable`.
        settings: its configuration with dotted keys.
        result: the content of its `result.json`, made anew; None without a journal.
        curve: its best score so far.
        answers: the winner's to the test items; None without a test score.
        folder: where it is.
        reason: why it cannot be read.
    """

    name: str
    status: str
    settings: Settings
    result: Mapping[str, Any] | None
    curve: Curve | None
    answers: Answers | None = None
    folder: Path = Path()
    reason: str = ""

    @property
    def test(self) -> Mapping[str, Any] | None:
        """The winner's test score with its interval."""
        won = self.result["winner"] if self.result else None
        return won["test"] if won else None

    @property
    def judged_by(self) -> tuple[str, str] | None:
        """The protocol and the items behind the test score, None without one."""
        if self.result is None or self.test is None:
            return None
        return str(self.result["protocol"]["hash"]), str(self.test["set"])


@dataclass(frozen=True)
class Comparison:
    """The runs and what tells them apart.

    Args:
        runs: in the order of their settings.
        settings: for each run the settings that differ, by short name.
        rows: for each run all columns as plain values.
        odd: why a run's score cannot stand beside the others', by the run's name.
        ranking: of the groups over seeds; None where there is nothing to rank.
    """

    runs: tuple[Run, ...]
    settings: tuple[Settings, ...]
    rows: tuple[Mapping[str, Any], ...]
    odd: Mapping[str, str] = field(default_factory=dict)
    ranking: Ranking | None = None

    @property
    def counted(self) -> str:
        """How many runs there are, in words."""
        return "1 run" if len(self.runs) == 1 else f"{len(self.runs)} runs"

    @property
    def names(self) -> tuple[str, ...]:
        """The settings that differ by themselves: the others follow from what their part is."""
        follow = implied([run.settings for run in self.runs])
        return tuple(name for name in self.settings[0] if name not in follow)


def incomparable(runs: Sequence[Run]) -> dict[str, str]:
    """Return which runs were not judged as most are, and what is other about them.

    Scores compare where protocol and test items are the same. Of as many of one kind as of
    another, those of the first run are the rule.
    """
    kinds = [run.judged_by for run in runs if run.judged_by is not None]
    if not kinds:
        return {}
    protocol, items = max(kinds, key=kinds.count)
    found = {}
    for run in runs:
        if run.judged_by is not None and run.judged_by != (protocol, items):
            what = ["another protocol"] if run.judged_by[0] != protocol else []
            what += ["other test items"] if run.judged_by[1] != items else []
            found[run.name] = " and ".join(what)
    return found


def find(folders: Sequence[Path]) -> list[Path]:
    """Return the run folders in some folders: those with a journal, or that Hydra began.

    Raises:
        ConfigError: a folder is not there, or has no run.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}; give run folders or sweep folders")
        runs = {path.parent for path in folder.rglob(FILE)}
        begun = {path.parent for path in folder.rglob(".hydra") if path.is_dir()}
        # A sweep's own folder can have .hydra too, but its runs lie inside it.
        runs |= {path for path in begun if not any(run.is_relative_to(path) for run in runs)}
        if not runs:
            raise ConfigError(f"there is no run in {folder} (no {FILE}); give run folders")
        found |= dict.fromkeys(sorted(path.resolve() for path in runs))
    return list(found)


def above(paths: Sequence[Path]) -> Path:
    """Return the folder that all runs lie in."""
    return paths[0].parent if len(paths) == 1 else Path(os.path.commonpath(paths))


def read(path: Path, parent: Path) -> Run:
    """Read one run as far as it got.

    Args:
        path: its folder.
        parent: the folder that its name is seen from.
    """
    name = str(path.relative_to(parent))
    if not (path / FILE).is_file():
        return Run(name, "not started", {}, None, None, folder=path)
    try:
        with opened(path) as record:
            return _read(record, name)
    except JournalError as error:
        log.warning("%s", error)
        return Run(name, "unreadable", {}, None, None, folder=path, reason=str(error))


def _read(record: Record, name: str) -> Run:
    result, config = build(record), fact(record, "config")
    settings = flatten(completed(config)) if isinstance(config, Mapping) else {}
    settings.setdefault("seed", result["seed"])
    tested = result["winner"] is not None and result["winner"]["test"] is not None
    return Run(
        name,
        result["status"],
        settings,
        result,
        curve(record, histories(record)),
        answers_of(record, WINNER) if tested else None,
        record.folder,
    )
