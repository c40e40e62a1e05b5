"""A table of methods, each searched with several seeds, beside what nobody has to search for.

Reads the records of finished runs that share their test items; knows nothing of how runs are
started.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from evoforge.errors import ConfigError
from evoforge.path import hops, short
from evoforge.record import ItemResult, Record
from evoforge.report.result import BASELINE
from evoforge.report.route import winning
from evoforge.report.statistics import interval, paired

WINNER = "winner"


@dataclass(frozen=True)
class Line:
    """One row: a model, or what a method found with each of its seeds.

    Args:
        label: what to call it.
        seeds: the test score of each seed; one score for a model that nobody searched for.
        score: their mean.
        low: lower end of the mean's 95 % interval over the test items.
        high: upper end.
        items: for each test item the mean over the seeds.
        paths: the winning path of each seed in a line; empty where weights were merged.
    """

    label: str
    seeds: tuple[float, ...]
    score: float
    low: float
    high: float
    items: tuple[ItemResult, ...]
    paths: tuple[str, ...] = ()


def lines(methods: Mapping[str, Sequence[Path]], baselines: Mapping[str, str]) -> list[Line]:
    """Return a row for each baseline, then one for each method.

    Args:
        methods: label -> the run folders of its seeds.
        baselines: name in the record (less `baseline:`) -> label; of each the first run that has
            it counts.

    Raises:
        ConfigError: a run is not finished, or a baseline is in none of them.
    """
    found: dict[str, Line] = {}
    searched = []
    for label, folders in methods.items():
        winners, paths = [], []
        for folder in folders:
            with closing(_open(folder)) as record:
                winners.append(_results(record, WINNER))
                path = hops(winning(record) or {})
                paths.append(short(path) if path else "")
                for name, shown in baselines.items():
                    if name not in found and (f"{BASELINE}{name}", "test") in record.roles():
                        found[name] = line(shown, [_results(record, f"{BASELINE}{name}")])
        searched.append(line(label, winners, tuple(filter(None, paths))))
    if missing := [name for name in baselines if name not in found]:
        raise ConfigError(f"no run has scored {missing[0]}; run the rows again")
    return [*(found[name] for name in baselines), *searched]


def line(label: str, runs: Sequence[Sequence[ItemResult]], paths: tuple[str, ...] = ()) -> Line:
    """Return the row of what several runs answered to the same items."""
    ids = [result.item for result in runs[0]]
    by_run = [{result.item: result for result in run} for run in runs]
    if any(set(run) != set(ids) for run in by_run):
        raise ConfigError(f"the runs of {label} were tested on different items; run them again")
    means = tuple(
        ItemResult(item, fmean(run[item].score for run in by_run), {}, "", 0) for item in ids
    )
    score, low, high = interval([result.score for result in means])
    seeds = tuple(fmean(result.score for result in run) for run in runs)
    return Line(label, seeds, score, low, high, means, paths)


def markdown(rows: Sequence[Line], against: Line | None) -> str:
    """Return the table in Markdown, scores in percent.

    Args:
        rows: of the table.
        against: the row that the last column compares the others with, item by item.
    """
    head = ["model", "test score (95 % interval)", "seeds"]
    head += [f"minus {against.label}"] if against else []
    body = []
    for row in rows:
        cells = [row.label, f"{_percent(row.score)} ({_percent(row.low)} to {_percent(row.high)})"]
        cells.append(", ".join(map(_percent, row.seeds)) if len(row.seeds) > 1 else "")
        if against is not None:
            cells.append("" if row is against else _difference(row, against))
        body.append(cells)
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *body]) + "\n"


def content(rows: Sequence[Line]) -> list[dict[str, Any]]:
    """Return the table as JSON values."""
    return [
        {
            "label": row.label,
            "score": row.score,
            "low": row.low,
            "high": row.high,
            "seeds": list(row.seeds),
            "paths": list(row.paths),
        }
        for row in rows
    ]


def _difference(row: Line, against: Line) -> str:
    found = paired(row.items, against.items)
    low, high = _percent(found.low), _percent(found.high)
    return f"{100 * found.difference:+.1f} ({low} to {high})"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _open(folder: Path) -> Record:
    record = Record.open(folder)
    if not record.finished:
        record.close()
        raise ConfigError(f"{folder} is not finished; go on with resume={folder}")
    return record


def _results(record: Record, name: str) -> tuple[ItemResult, ...]:
    evaluation = record.evaluation(record.roles()[name, "test"], with_items=True)
    if not evaluation.results:
        raise ConfigError(f"{record.folder} has no test score of {name}: {evaluation.reason}")
    return evaluation.results
