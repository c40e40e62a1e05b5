"""How the best score of a search rose against what it cost, alone and over several seeds.

Reads the record; draws nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evoforge.record import Record
from evoforge.report.history import Floats, History, best_so_far
from evoforge.report.spending import spending

Axis = Literal["evaluations", "items", "seconds"]
AXES: tuple[Axis, ...] = ("evaluations", "items", "seconds")
# What the axes count.
SAID = {
    "evaluations": "evaluations",
    "items": "items answered in the search",
    "seconds": "seconds of merging, answering and scoring",
}


@dataclass(frozen=True)
class Curve:
    """The best score of a run so far, candidate by candidate; all stages in a row.

    Args:
        best: (n,) score on the search items of the fittest so far; NaN until there is one.
        evaluations: (n,) how many the run had spent by then.
        items: (n,) how many answers the searches had asked the task for by then. Those that chose
            among finalists, and those of a proxy, are not among them.
        seconds: (n,) what the searches' evaluations had taken by then, workers summed up; they
            depend on the machine.
        finished: whether the run is over, so that its best stays as it is.
    """

    best: Floats
    evaluations: Floats
    items: Floats
    seconds: Floats
    finished: bool

    def spent(self, axis: Axis) -> Floats:
        """Return what was spent by each candidate, by name: (n,), never falling."""
        return {"evaluations": self.evaluations, "items": self.items, "seconds": self.seconds}[axis]


@dataclass(frozen=True)
class Band:
    """Several curves as one, at the places where any of them changes.

    Args:
        x: (m,) what was spent.
        mean: (m,) over the runs that have a score there.
        low: (m,) the worst of them, or the best where lower is better.
        high: (m,) the other end.
        count: (m,) how many runs that is.
    """

    x: Floats
    mean: Floats
    low: Floats
    high: Floats
    count: Floats


def curve(record: Record, stages: Sequence[History]) -> Curve | None:
    """Return how the best score of a run rose; None if no candidate was judged yet.

    Args:
        record: of the run.
        stages: its searches in order.
    """
    if not stages:
        return None
    scores = np.concatenate([history.finished for history in stages])
    fitness = np.concatenate([history.fitness for history in stages])
    numbers = [c.evaluation or 0 for history in stages for c in history.candidates]
    spent = list(spending(record))
    items = [one.items if one.asker == "search" else 0 for one in spent]
    seconds = [one.seconds if one.asker in ("search", "proxy") else 0.0 for one in spent]
    return Curve(
        best=best_so_far(scores, fitness),
        evaluations=np.concatenate([h.evaluations for h in stages]).astype(np.float64),
        items=_by_then(items, numbers),
        seconds=_by_then(seconds, numbers),
        finished=record.finished,
    )


def _by_then(costs: Sequence[float], numbers: Sequence[int]) -> Floats:
    """Return what all evaluations up to those with some numbers cost: (n,).

    Workers do not finish in the order in which was asked, and a repeated candidate has an old
    number: what was spent never falls.
    """
    sums = np.concatenate([[0.0], np.cumsum(np.array(costs, dtype=np.float64))])
    found: Floats = np.maximum.accumulate(sums[np.array(numbers, dtype=np.intp)])
    return found


def band(curves: Sequence[Curve], axis: Axis) -> Band | None:
    """Return the mean and the range of several curves; None if none has a score.

    Curves are steps: between two candidates the best stays as it is. So it does after the end of a
    run that is finished, whose budget was spent; one that is not finished counts as far as it got.

    Args:
        curves: of runs that differ in their seed alone.
        axis: what they are drawn against.
    """
    steps = [_steps(one, axis) for one in curves]
    steps = [(x, best, end) for x, best, end in steps if x.size]
    if not steps:
        return None
    # From where all have a score: a run that starts late would let the mean jump. Each place is one
    # of a curve that is there, so that no column is all NaN.
    grid = np.unique(np.concatenate([x for x, _, _ in steps]))
    grid = grid[grid >= max(float(x[0]) for x, _, _ in steps)]
    rows = np.array([_at(grid, x, best, end) for x, best, end in steps])
    count = (~np.isnan(rows)).sum(axis=0)
    mean, low, high = (function(rows, axis=0) for function in (np.nanmean, np.nanmin, np.nanmax))
    return Band(grid, mean, low, high, count.astype(np.float64))


def _steps(one: Curve, axis: Axis) -> tuple[Floats, Floats, float]:
    """Return where a curve changes, its first and last place among them, and where it ends."""
    x, best = one.spent(axis), one.best
    some = ~np.isnan(best)
    x, best = x[some], best[some]
    if x.size:
        # Of several candidates at one place the last counts.
        kept = np.append(np.diff(x) > 0, True)
        x, best = x[kept], best[kept]
        changes = np.append(True, np.diff(best) != 0)
        changes[-1] = True
        x, best = x[changes], best[changes]
    return x, best, np.inf if one.finished or not x.size else float(x[-1])


def _at(grid: Floats, x: Floats, best: Floats, end: float) -> Floats:
    """Return a curve of steps at each place of a grid; NaN before its start and after its end."""
    place = np.searchsorted(x, grid, side="right") - 1
    return np.where((place >= 0) & (grid <= end), best[np.maximum(place, 0)], np.nan)
