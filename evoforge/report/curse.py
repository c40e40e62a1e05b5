"""The winner's curse: how much better the best of many looks than it is.

Knows the course of searches and evaluations; draws nothing and says nothing.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from statistics import NormalDist, fmean
from typing import Any

import numpy as np

from evoforge.record import Evaluation, Record
from evoforge.report.history import History, higher

# Steps and half width of the integral below, in standard deviations.
STEPS, WIDTH = 2000, 10.0


@cache
def expected_maximum(count: int) -> float:
    r"""Return the expected largest of some independent standard normal numbers.

    $$ \int_0^\infty 1 - \Phi(x)^n - (1 - \Phi(x))^n \, dx $$

    >>> round(expected_maximum(2), 4)  # 1 / sqrt(pi)
    0.5642

    Args:
        count: n, at least 1.

    Reference: David and Nagaraja 2003, Order Statistics, section 3.1.
    """
    below = [NormalDist().cdf(WIDTH * step / STEPS) for step in range(STEPS + 1)]
    heights = [1 - p**count - (1 - p) ** count for p in below]
    return WIDTH / STEPS * (math.fsum(heights) - (heights[0] + heights[-1]) / 2)


def effective(weights: Sequence[float]) -> float:
    """Return how many items of equal weight tell as much as these: Kish's effective number.

    >>> effective([0.5, 0.5, 0.0])
    2.0
    """
    return math.fsum(weights) ** 2 / math.fsum(weight * weight for weight in weights)


def curse(
    record: Record,
    stages: Sequence[History],
    won: Mapping[str, Evaluation],
    tested: Mapping[str, Any] | None,
) -> dict[str, Any] | None:
    """Return how the winner's scores fall from the items that chose it to those that judge it.

    `best` is the best score of the search, on `items` items, among `candidates`; `chosen` is the
    winner's own on the items that it answered as a candidate; `optimism` is `best` less `test`,
    positive where the search looked better. `if_equal` is what that would be on average if all
    candidates were as good as the winner: the expected largest of as many normal numbers, times
    the standard error of a score on such items (the test score's, for as many as they are worth;
    see `effective`). It takes them for independent; those that share parents and items differ less,
    so that in truth it is somewhat less.

    Args:
        record: of the run.
        stages: the searches.
        won: the winner's evaluations by part.
        tested: its test score, as in `result.json`.

    Returns:
        None if there is no test score or no search.
    """
    recipe = next(iter(won.values())).recipe if won else None
    having = [h for h in stages if any(c.recipe == recipe for c in h.candidates)] or list(stages)
    if not having or tested is None or not having[-1].scored.any():
        return None
    history = having[-1]
    sign = 1 if higher(history.info) else -1
    scores = history.finished
    best = int(np.argmax(np.where(np.isnan(scores), -np.inf, history.fitness)))
    own = [s for c, s in zip(history.candidates, scores, strict=True) if c.recipe == recipe]
    own = [float(score) for score in own if not np.isnan(score)]
    some = zip(history.candidates, history.scored, strict=True)
    count = len({candidate.recipe for candidate, scored in some if scored})
    items, se, select = int(history.items[best]), tested["se"], won.get("select")
    equal = None
    if se is not None:
        worth = _worth(record, won["test"].item_set) / _worth(record, _set(record, history, best))
        equal = expected_maximum(count) * se * math.sqrt(worth)
    return {
        "stage": history.stage,
        "candidates": count,
        "items": items,
        "best": float(scores[best]),
        "chosen": fmean(own) if own else None,
        "select": None if select is None else select.score,
        "test": tested["score"],
        "optimism": sign * (float(scores[best]) - tested["score"]),
        "if_equal": equal,
    }


def _set(record: Record, history: History, place: int) -> str:
    number = history.candidates[place].evaluation
    assert number is not None  # a history is of those that were judged
    return record.evaluation(number).item_set


def _worth(record: Record, item_set: str) -> float:
    return effective(record.weights(item_set))
