"""Niches: items as food that models share, and what one model has that another lacks.

Knows scores of items; does not know genomes. An item that a model was not asked is NaN, and models
are compared on what they were asked.
"""

import numpy as np

from evoforge.optimizer._genes import Numbers
from evoforge.optimizer.base import Genomes
from evoforge.space import Genome


def fed(scores: Genomes, competition: float) -> Genomes:
    r"""Return what each model gets of each item: (n, items), NaN where it was not asked.

        share_ij = s_ij / m_j^competition,   m_j = mean of s_kj over those k who were asked j

    Where everybody was asked everything this is the share of M2N2, s_ij / (sum_k s_kj), times n.

    Args:
        scores: (n, items) 0 or more, NaN where not asked.
        competition: 0 for none: everybody gets its scores.
    """
    asked = np.isfinite(scores)
    means = np.where(asked, scores, 0.0).sum(axis=0) / np.maximum(asked.sum(axis=0), 1)
    return np.asarray(scores / np.where(means > 0, means, 1.0) ** competition)


def living(shares: Genomes) -> Genome:
    """Return what each model lives on: the mean of its shares, (n,)."""
    asked = np.isfinite(shares)
    return np.asarray(np.where(asked, shares, 0.0).sum(axis=1) / np.maximum(asked.sum(axis=1), 1))


def attraction(shares: Genomes, first: int) -> Genome:
    """Return how much more of the items each model gets than one of them: (n,), itself 0.

    The mean of max(0, share - its share) over what both were asked; 0 if that is nothing.
    """
    more = shares - shares[first]
    both = np.isfinite(more)
    gained = np.where(both, np.maximum(more, 0.0), 0.0).sum(axis=1)
    return np.asarray(gained / np.maximum(both.sum(axis=1), 1))


def survivors(scores: Genomes, size: int, competition: float) -> Numbers:
    """Return who is left, in order, when the one that lives on the least goes, one after another.

    What it leaves is shared anew before the next one goes; of equals the last one goes.

    Args:
        scores: (n, items) 0 or more, NaN where not asked.
        size: how many are left at most.
        competition: see `fed`.
    """
    left = np.arange(len(scores))
    while len(left) > size:
        lives = living(fed(scores[left], competition))
        left = np.delete(left, len(left) - 1 - int(np.argmin(lives[::-1])))
    return left
