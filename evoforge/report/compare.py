"""Several runs side by side: `python -m evoforge.report.compare FOLDER ...`.

Finds the runs in the folders, says what differs between their configurations, and writes
`comparison.json`, `comparison.csv` and `comparison.png`. Reads records only: runs that go on, or
that died, are listed with their status.
"""

import argparse
import csv
import io
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from evoforge.errors import ConfigError, EvoforgeError, JournalError
from evoforge.record import FILE, WINNER, Record
from evoforge.report.comparison_table import over_seeds_table, table
from evoforge.report.difference import Settings, differences, flatten
from evoforge.report.groups import content, over_seeds
from evoforge.report.history import Floats, best_so_far, histories
from evoforge.report.over_seeds import Answers, answers_of
from evoforge.report.result import build, fact, replace
from evoforge.report.summary import best_source, metric

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One run, as far as it got.

    Args:
        name: its folder, seen from the common parent.
        status: `finished`, `unfinished`, `failed`, `not started`, or `unreadable`.
        settings: its configuration with dotted keys.
        result: the content of its `result.json`, made anew; None without a journal.
        curve: evaluations and best score so far.
        answers: the winner's to the test items; None without a test score.
    """

    name: str
    status: str
    settings: Settings
    result: Mapping[str, Any] | None
    curve: tuple[Floats, Floats] | None
    answers: Answers | None = None

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
    """

    runs: tuple[Run, ...]
    settings: tuple[Settings, ...]
    rows: tuple[Mapping[str, Any], ...]
    odd: Mapping[str, str] = field(default_factory=dict)


def compare(folders: Sequence[Path], out: Path) -> Comparison:
    """Compare the runs in some folders; write the three files into `out`.

    Args:
        folders: run folders, or folders with run folders inside, as a sweep leaves them.
        out: where to write; made if it is not there.

    Raises:
        ConfigError: a folder holds no run.
        JournalError: `out` cannot be written.
    """
    # Deferred: the table does not need matplotlib.
    from evoforge.report.comparison_plot import draw

    found = compared(folders)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(f"cannot write {out}: {error.strerror}; set --out") from error
    said = {"runs": found.rows, "over_seeds": [content(row) for row in over_seeds(found)]}
    text = json.dumps(said, indent=2, ensure_ascii=False, allow_nan=False)
    replace(out / "comparison.json", text + "\n")
    replace(out / "comparison.csv", _csv(found.rows))
    draw(found, out / "comparison.png")
    return found


def compared(folders: Sequence[Path]) -> Comparison:
    """Read the runs in some folders and find out what tells them apart; write nothing."""
    paths = find(folders)
    parent = _parent(paths)
    runs = [read(path, parent) for path in paths]
    settings = differences([run.settings for run in runs])
    order = sorted(range(len(runs)), key=lambda i: [_sortable(v) for v in settings[i].values()])
    runs, settings = [runs[i] for i in order], [settings[i] for i in order]
    odd = incomparable(runs)
    rows = [
        {**_row(run, own), "not_comparable": odd.get(run.name)}
        for run, own in zip(runs, settings, strict=True)
    ]
    return Comparison(tuple(runs), tuple(settings), tuple(rows), odd)


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


def _parent(paths: Sequence[Path]) -> Path:
    return paths[0].parent if len(paths) == 1 else Path(os.path.commonpath(paths))


def read(path: Path, parent: Path) -> Run:
    """Read one run as far as it got."""
    name = str(path.relative_to(parent))
    if not (path / FILE).is_file():
        return Run(name, "not started", {}, None, None)
    try:
        record = Record.open(path)
    except JournalError as error:
        log.warning("%s", error)
        return Run(name, "unreadable", {}, None, None)
    try:
        result, stages = build(record), histories(record)
        config = fact(record, "config")
        settings = flatten(config) if isinstance(config, Mapping) else {}
        settings.setdefault("seed", result["seed"])
        tested = result["winner"] is not None and result["winner"]["test"] is not None
        answers = answers_of(record, WINNER) if tested else None
    finally:
        record.close()
    return Run(name, result["status"], settings, result, _curve(stages), answers)


def _curve(stages: Sequence[Any]) -> tuple[Floats, Floats] | None:
    import numpy as np

    if not stages:
        return None
    evaluations = np.concatenate([history.evaluations for history in stages]).astype(np.float64)
    scores = np.concatenate([history.finished for history in stages])
    fitness = np.concatenate([history.fitness for history in stages])
    return evaluations, best_so_far(scores, fitness)


def _sortable(value: Any) -> tuple[int, float, str]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return (0, float(value), "") if number else (1, 0.0, str(value))


def _row(run: Run, settings: Settings) -> dict[str, Any]:
    row: dict[str, Any] = {"run": run.name, **{f"config.{k}": v for k, v in settings.items()}}
    names = ["score", "low", "high", "se", "best_source", "best_source_score"]
    names += ["difference", "p", "p_holm", "protocol", "test_items"]
    row |= {"status": run.status, "metric": None, **dict.fromkeys(names)}
    row |= {"evaluations": None, "minutes": None, "hops": None}
    if run.result is None:
        return row
    result, best = run.result, best_source(run.result)
    row |= {"metric": metric(result), "evaluations": result["counts"]["evaluations"]}
    row["minutes"] = round(result["seconds"]["total"] / 60, 2)
    path = (result["winner"] or {}).get("path")
    row["hops"] = path and len(path["hops"])
    row |= {key: run.test[key] for key in ("score", "low", "high", "se")} if run.test else {}
    row |= {"protocol": result["protocol"]["hash"], "test_items": run.test and run.test["set"]}
    if best is not None:
        there = result["baselines"][best]["test"]
        row |= {"best_source": best, "best_source_score": there and there["score"]}
        against = result["paired"].get(best) or {}
        row |= {key: against.get(key) for key in ("difference", "p", "p_holm")}
    return row


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def show(found: Comparison, console: Console) -> None:
    """Print the runs, and those together that differ in their seed alone."""
    console.print(table(found))
    if (several := over_seeds_table(found)) is not None:
        console.print(several)


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evoforge.report.compare",
        description="Compare runs: a table, comparison.png, comparison.json and comparison.csv.",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, help="where to write; default: the common parent")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        out = options.out or _parent(find(options.folders))
        found = compare(options.folders, out)
        show(found, console)
    except EvoforgeError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        return 2
    console.print(f"wrote {escape(str(out))}/comparison.png, .json and .csv", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
