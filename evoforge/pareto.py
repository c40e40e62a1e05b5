"""Fronts: which points are worse than none in every respect, and how they lie beside each other.

Knows numbers only. Everywhere here higher is better: turn the sign of what is to be small.
"""

import moocore
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Places = NDArray[np.int64]


def ranks(values: Values) -> Places:
    """Return the front that each point is on: (n,), 0 for those that no other dominates.

    Args:
        values: (n, goals) finite, higher is better.
    """
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    return np.asarray(moocore.pareto_rank(values, maximise=True), dtype=np.int64)


def copies(values: Values) -> Places:
    """Return how many equals stand before each point: (n,), 0 for the first of its kind."""
    _, kinds = np.unique(values, axis=0, return_inverse=True)
    order = np.argsort(kinds.ravel(), kind="stable")
    ranked = kinds.ravel()[order]
    begins = np.searchsorted(ranked, ranked, side="left")
    found = np.empty(len(values), dtype=np.int64)
    found[order] = np.arange(len(values)) - begins
    return found


def crowding(values: Values) -> Values:
    r"""Return how much room each point of one front has: (n,), infinite at the ends.

    The sum over goals of the distance between its two neighbours, as a share of the front's range.

    Args:
        values: (n, goals) finite.

    Reference:
        Deb 2002, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II,
        https://doi.org/10.1109/4235.996017
    """
    found = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        ranked = column[order]
        if not len(ranked) or ranked[0] == ranked[-1]:
            continue
        room = np.full(len(ranked), np.inf)
        room[1:-1] = (ranked[2:] - ranked[:-2]) / (ranked[-1] - ranked[0])
        found[order] += room
    return found


def scaled(values: Values) -> Values:
    """Return each goal as a share of its range: (n, goals) in [0, 1], 1 where all are equal."""
    low, high = values.min(0), values.max(0)
    room = np.where(high > low, high - low, 1.0)
    return np.where(high > low, (values - low) / room, 1.0)


def knee(values: Values) -> int:
    """Return the place of the point that bulges out most: the sum of its scaled goals is largest.

    Of two goals that is the point farthest from the line between the ends of the front.

    Args:
        values: (n, goals) finite, of one front, n from 1.

    Reference:
        Das 1999, On characterizing the "knee" of the Pareto curve based on normal-boundary
        intersection, https://doi.org/10.1007/BF01195985
    """
    return int(np.argmax(scaled(values).sum(1)))


def spread(values: Values, count: int) -> list[int]:
    """Return the places of up to `count` points that stand for a front.

    The best in each goal, the knee, and then always the one farthest from those chosen.

    Args:
        values: (n, goals) finite, of one front.
        count: 1 or more.
    """
    if not len(values):
        return []
    shares = scaled(values)
    # Of equals in one goal, the one that is best in the others.
    ends = [
        int(np.argmax(shares[:, goal] + 1e-6 * shares.sum(1))) for goal in range(shares.shape[1])
    ]
    chosen = list(dict.fromkeys([*ends, knee(values)]))[:count]
    apart = np.linalg.norm(shares[:, None] - shares[chosen], axis=2).min(1)
    while len(chosen) < count and apart.max() > 0:
        chosen.append(int(np.argmax(apart)))
        apart = np.minimum(apart, np.linalg.norm(shares - shares[chosen[-1]], axis=1))
    return chosen


def hypervolume(values: Values, reference: Values) -> float:
    """Return the volume between a front and a point that is worse than it.

    Args:
        values: (n, goals) finite; what is not better than the reference in every goal adds nothing.
        reference: (goals,).

    Reference:
        Zitzler 1999, Multiobjective Evolutionary Algorithms: A Comparative Case Study and the
        Strength Pareto Approach, https://doi.org/10.1109/4235.797969
    """
    inside = values[(values > reference).all(1)]
    if not len(inside):
        return 0.0
    return float(moocore.hypervolume(inside, ref=reference, maximise=True))
