"""The winner's curse: how much better the best of many looks than it is.

Knows the course of searches and evaluations; draws nothing and says nothing.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from statistics import NormalDist, fmean
from typing import Any

import numpy as np

from evoforge.record import Evaluation
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


def curse(
    stages: Sequence[History], won: Mapping[str, Evaluation], tested: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Return how the winner's scores fall from the items that chose it to those that judge it.

    `best` is the best score of the search, on `items` items, among `candidates`; `chosen` is the
    winner's own on the items that it answered as a candidate; `optimism` is `best` less `test`,
    positive where the search looked better. `if_equal` is what that would be on average if all
    candidates were as good as the winner: the expected largest of as many normal numbers, times
    the standard error of a score on so many items. It takes them for independent; those that share
    parents and items differ less, so that in truth it is somewhat less.

    Args:
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
    best = int(np.nanargmax(sign * scores))
    own = [s for c, s in zip(history.candidates, scores, strict=True) if c.recipe == recipe]
    own = [float(score) for score in own if not np.isnan(score)]
    some = zip(history.candidates, history.scored, strict=True)
    count = len({candidate.recipe for candidate, scored in some if scored})
    items, se, select = int(history.items[best]), tested["se"], won.get("select")
    equal = None
    if se is not None:
        equal = expected_maximum(count) * se * math.sqrt(tested["items"] / items)
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
