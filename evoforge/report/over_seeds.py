"""A table of methods, each searched with several seeds, beside what nobody has to search for.

Reads the records of finished runs that share their protocol and test items; knows nothing of how
runs are started.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.path import hops, short
from evoforge.record import BASELINE, WINNER, ItemResult, Record
from evoforge.report import protocol as words
from evoforge.report.resampling import as_weights, average
from evoforge.report.result import fact
from evoforge.report.route import winning
from evoforge.report.statistics import interval, paired


@dataclass(frozen=True)
class Line:
    """One row: a model, or what a method found with each of its seeds.

    Args:
        label: what to call it.
        seeds: the test score of each seed; one score for a model that nobody searched for.
        score: their mean.
        low: lower end of the mean's 95 % interval over the test items; the seeds are given.
        high: upper end.
        se: the mean's standard error over the test items; None of a single item.
        items: for each test item the mean over the seeds.
        weights: what each item counts, by id; None: all the same.
        paths: the winning path of each seed in a line; empty where weights were merged.
        protocol: the name of what it was judged by.
    """

    label: str
    seeds: tuple[float, ...]
    score: float
    low: float
    high: float
    se: float | None
    items: tuple[ItemResult, ...]
    weights: Mapping[str, float] | None = None
    paths: tuple[str, ...] = ()
    protocol: str = ""

    @property
    def se_seeds(self) -> float | None:
        """The standard error of the mean over the seeds; None of a single one."""
        count = len(self.seeds)
        return stdev(self.seeds) / math.sqrt(count) if count > 1 else None


@dataclass(frozen=True)
class Answers:
    """What one model answered to the test items of a run.

    Args:
        folder: of the run.
        results: in the order of the items.
        weights: what each item counts, by id.
        protocol: the hash of what it was judged by.
        protocol_name: its name.
    """

    folder: Path
    results: tuple[ItemResult, ...]
    weights: Mapping[str, float]
    protocol: str
    protocol_name: str


def lines(methods: Mapping[str, Sequence[Path]], baselines: Mapping[str, str]) -> list[Line]:
    """Return a row for each baseline, then one for each method.

    Args:
        methods: label -> the run folders of its seeds.
        baselines: name in the record (less `baseline:`) -> label; of each the first run that has
            it counts.

    Raises:
        ConfigError: a run is not finished, a baseline is in none of them, or two runs were judged
            by different protocols or on different items.
    """
    found: dict[str, Line] = {}
    searched = []
    first: Answers | None = None
    for label, folders in methods.items():
        winners, paths = [], []
        for folder in folders:
            with closing(_open(folder)) as record:
                answers = answers_of(record, WINNER)
                first = first or answers
                check_comparable(first, answers)
                winners.append(answers)
                path = hops(winning(record) or {})
                paths.append(short(path) if path else "")
                for name, shown in baselines.items():
                    if name not in found and (f"{BASELINE}{name}", "test") in record.roles():
                        own = answers_of(record, f"{BASELINE}{name}")
                        found[name] = _line(shown, [own])
        searched.append(_line(label, winners, tuple(filter(None, paths))))
    if missing := [name for name in baselines if name not in found]:
        raise ConfigError(f"no run has scored {missing[0]}; run the rows again")
    return [*(found[name] for name in baselines), *searched]


def _line(label: str, answers: Sequence[Answers], paths: tuple[str, ...] = ()) -> Line:
    weights, name = answers[0].weights, answers[0].protocol_name
    results = [own.results for own in answers]
    return line(label, results, paths, weights=weights, protocol=name)


def check_comparable(one: Answers, other: Answers) -> None:
    """Raise ConfigError if two runs cannot stand in one table."""
    if one.protocol != other.protocol:
        raise ConfigError(
            f"not comparable: {other.folder} was judged by the protocol {other.protocol}, "
            f"{one.folder} by {one.protocol}; run one of them again"
        )
    if one.weights != other.weights:
        raise ConfigError(
            f"not comparable: {other.folder} was tested on other items than {one.folder}; "
            "run one of them again"
        )


def line(
    label: str,
    runs: Sequence[Sequence[ItemResult]],
    paths: tuple[str, ...] = (),
    *,
    weights: Mapping[str, float] | None = None,
    protocol: str = "",
) -> Line:
    """Return the row of what several runs answered to the same items.

    Args:
        label: what to call it.
        runs: the results of each seed.
        paths: the winning path of each, if there are any.
        weights: what each item counts, by id; None: all the same.
        protocol: the name of what they were judged by.
    """
    ids = [result.item for result in runs[0]]
    by_run = [{result.item: result for result in run} for run in runs]
    if any(set(run) != set(ids) for run in by_run):
        raise ConfigError(f"the runs of {label} were tested on different items; run them again")
    means = tuple(
        ItemResult(item, fmean(run[item].score for run in by_run), {}, "", 0) for item in ids
    )
    own = None if weights is None else [weights[item] for item in ids]
    score, low, high, se = interval([result.score for result in means], own)
    by_seed = [np.array([run[item].score for item in ids]) for run in by_run]
    seeds = tuple(average(scores, as_weights(own)) for scores in by_seed)
    return Line(label, seeds, score, low, high, se, means, weights, paths, protocol)


def markdown(
    rows: Sequence[Line],
    against: Line | None,
    published: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """Return the table in Markdown, scores in percent.

    Args:
        rows: of the table.
        against: the row that a column compares the others with, item by item.
        published: columns of what others have published: head -> figure by the row's label.
    """
    columns = dict(published or {})
    head = ["model", "test score (95 % interval)", "seeds"]
    head += [*([f"minus {against.label}"] if against else []), *columns]
    body = []
    for row in rows:
        cells = [row.label, f"{_percent(row.score)} ({_percent(row.low)} to {_percent(row.high)})"]
        cells.append(_seeds(row))
        if against is not None:
            cells.append("" if row is against else _difference(row, against))
        cells += [figures.get(row.label, "") for figures in columns.values()]
        body.append(cells)
    rule = ["---", *["---:"] * (len(head) - 1)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *body])
    return f"{table}\n\n{_caption(rows)}\n"


def _caption(rows: Sequence[Line]) -> str:
    """Return how the table is to be read."""
    judged = f", judged by {rows[0].protocol}" if rows[0].protocol else ""
    said = f"Percent, on {len(rows[0].items)} test items, the same for all rows{judged}. Intervals"
    said += " are over the items"
    if any(len(row.seeds) > 1 for row in rows):
        said += ", of the mean over the seeds; ± is the standard error of that mean over the seeds"
    return f"{said}."


def _seeds(row: Line) -> str:
    if row.se_seeds is None:
        return ""
    return f"{', '.join(map(_percent, row.seeds))} (± {_percent(row.se_seeds)})"


def content(rows: Sequence[Line]) -> list[dict[str, Any]]:
    """Return the table as JSON values."""
    return [
        {
            "label": row.label,
            "score": row.score,
            "low": row.low,
            "high": row.high,
            "se": row.se,
            "seeds": list(row.seeds),
            "se_seeds": row.se_seeds,
            "paths": list(row.paths),
        }
        for row in rows
    ]


def _difference(row: Line, against: Line) -> str:
    found = paired(row.items, against.items, row.weights)
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


def answers_of(record: Record, name: str) -> Answers:
    """Return what a model of a run answered to the test items.

    Raises:
        ConfigError: it failed on them.
    """
    evaluation = record.evaluation(record.roles()[name, "test"], with_items=True)
    if not evaluation.results:
        raise ConfigError(f"{record.folder} has no test score of {name}: {evaluation.reason}")
    items, weights = record.items(evaluation.item_set), record.weights(evaluation.item_set)
    weighed = dict(zip(items, weights, strict=True))
    name = words.name(fact(record, "protocol") or {})
    return Answers(record.folder, evaluation.results, weighed, evaluation.protocol, name)
