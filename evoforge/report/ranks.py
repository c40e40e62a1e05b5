"""Which of several groups is better: ranks over blocks, and tests between pairs.

A group is what is compared, such as an optimizer; a block is what all groups went through, such as
a seed. Knows tables of numbers; does not know runs. Everything is deterministic.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from evoforge.report.history import Floats
from evoforge.report.resampling import NUM_FLIPS, SEED, sign_flip
from evoforge.report.statistics import holm

# group -> block -> score; higher is better.
Scores = Mapping[str, Mapping[str, float]]
NUM_SHUFFLES = 20000
# Of as many groups at most the critical difference is known to be of use.
FEWEST_GROUPS = 3


@dataclass(frozen=True)
class Pair:
    """One group against another, over the blocks that both have.

    Args:
        first: the group.
        second: what it is compared with.
        blocks: how many both have.
        wins: in how many of them the first is better.
        losses: in how many the second is.
        gain: mean of the first less mean of the second; positive where the first is better.
        low: lower end of the gain's 95 % interval by the t-distribution; None of a single block.
        high: upper end.
        p: two-sided p-value of the paired t-test; None where the gain is the same in all blocks.
        p_rank: that of Wilcoxon's signed-rank test, exact.
        p_holm: `p`, corrected for all pairs that are told.
        p_rank_holm: `p_rank`, corrected likewise.
    """

    first: str
    second: str
    blocks: int
    wins: int
    losses: int
    gain: float
    low: float | None
    high: float | None
    p: float | None
    p_rank: float
    p_holm: float | None = None
    p_rank_holm: float | None = None

    def turned(self) -> "Pair":
        """Return the same seen from the other side."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            wins=self.losses,
            losses=self.wins,
            gain=-self.gain,
            low=None if self.high is None else -self.high,
            high=None if self.low is None else -self.low,
        )


@dataclass(frozen=True)
class Ranking:
    """Groups in the order of their average ranks.

    Args:
        groups: (k,) the best first.
        blocks: (n,) those that every group has a score in; ranks are of these alone.
        incomplete: blocks that some of them have no score in.
        left_out: groups with too few blocks in common with them.
        ranks: (k, n) 1 is the best; equal scores share the mean of their ranks.
        means: (k,) mean score over those blocks, in the task's own direction.
        chi2: Friedman's statistic; None below three groups.
        p: its p-value by shuffling ranks within blocks.
        critical: groups whose average ranks differ by less are not told apart by Nemenyi's test at
            5 %; None below three groups.
        reference: the group that others are compared with.
        pairs: each group but the reference against it; or, where none was named, all pairs.
    """

    groups: tuple[str, ...]
    blocks: tuple[str, ...]
    incomplete: tuple[str, ...]
    left_out: tuple[str, ...]
    ranks: Floats
    means: Floats
    chi2: float | None
    p: float | None
    critical: float | None
    reference: str
    pairs: tuple[Pair, ...]

    @property
    def average(self) -> Floats:
        """The average rank of each group: (k,)."""
        found: Floats = self.ranks.mean(axis=1)
        return found

    def against(self, group: str) -> Pair | None:
        """Return a group against the reference; None of the reference, or without common blocks."""
        for pair in self.pairs:
            if (pair.first, pair.second) == (group, self.reference):
                return pair
            if (pair.second, pair.first) == (group, self.reference):
                return pair.turned()
        return None


def ranking(scores: Scores, against: str | None = None) -> Ranking | None:
    """Rank groups by their scores in common blocks; None with fewer than two of either.

    Groups that share too few blocks with the others are left out: a single run more must not take
    the blocks of all.

    Args:
        scores: of each group in each block; higher is better.
        against: the group that all others are compared with, which is never left out; None: all
            pairs are, and the reference is the best.
    """
    kept = _sharing(scores, against)
    left_out = tuple(name for name in scores if name not in kept)
    scores = {name: scores[name] for name in kept}
    blocks = list(dict.fromkeys(block for own in scores.values() for block in own))
    common = _common(scores)
    if len(scores) < 2 or len(common) < 2:
        return None
    names = list(scores)
    table = np.array([[scores[name][block] for block in common] for name in names])
    ranks = np.array([ranked(-column) for column in table.T]).T
    order = np.lexsort((-table.mean(axis=1), ranks.mean(axis=1)))
    groups, ranks = tuple(names[i] for i in order), ranks[order]
    chi2, p = friedman(ranks) if len(groups) >= FEWEST_GROUPS else (None, None)
    return Ranking(
        groups=groups,
        blocks=tuple(common),
        incomplete=tuple(block for block in blocks if block not in common),
        left_out=left_out,
        ranks=ranks,
        means=table.mean(axis=1)[order],
        chi2=chi2,
        p=p,
        critical=critical(*ranks.shape) if len(groups) >= FEWEST_GROUPS else None,
        reference=groups[0] if against is None else against,
        pairs=tuple(_pairs(scores, groups, against)),
    )


def _sharing(scores: Scores, against: str | None) -> list[str]:
    """Return the groups that have two blocks in common, without those that share the fewest."""
    kept = list(scores)

    def shared(name: str) -> tuple[int, int]:
        own = scores[name].keys()
        first = len(own & scores[against].keys()) if against else 0
        return first, sum(len(own & scores[other].keys()) for other in kept if other != name)

    while len(kept) > 1 and len(_common({name: scores[name] for name in kept})) < 2:
        kept.remove(min((name for name in kept if name != against), key=shared))
    return kept


def _common(scores: Scores) -> list[str]:
    """Return the blocks that all groups have a score in."""
    first = next(iter(scores.values()), {})
    return [block for block in first if all(block in own for own in scores.values())]


def ranked(values: Floats) -> Floats:
    """Return the ranks of numbers, from 1 for the smallest; equal ones share their mean: (n,).

    >>> ranked(np.array([0.5, 0.1, 0.5])).tolist()
    [2.5, 1.0, 2.5]
    """
    below = (values[None, :] < values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    found: Floats = below + (equal + 1) / 2
    return found


def friedman(ranks: Floats) -> tuple[float, float]:
    r"""Return Friedman's statistic and its p-value.

    With R_j the average ranks of k groups over n blocks,

    $$ \chi^2 = \frac{(k - 1) n^2 \sum_j (R_j - \frac{k+1}{2})^2}
                     {\sum_{ij} (r_{ij} - \frac{k+1}{2})^2} $$

    which is the usual form where no ranks are shared. If the groups are equal, every order within
    a block is as likely; the p-value is the share of `NUM_SHUFFLES` such orders, drawn from a fixed
    seed, with a statistic as large, and the observed one is added to both sides of the fraction.
    The chi-squared distribution would be too rough for a few seeds.

    Args:
        ranks: (k, n).

    Reference: Friedman 1937, https://doi.org/10.1080/01621459.1937.10503522
    """
    centred = ranks - (ranks.shape[0] + 1) / 2
    spread = float((centred**2).sum())
    if spread == 0:
        return 0.0, 1.0
    observed = float((centred.sum(axis=1) ** 2).sum())
    rng = np.random.default_rng(SEED)
    sums = np.zeros((NUM_SHUFFLES, len(ranks)))
    for column in centred.T:
        sums += rng.permuted(np.broadcast_to(column, sums.shape), axis=1)
    # A tie must stay a tie under rounding.
    hits = int(((sums**2).sum(axis=1) >= observed * (1 - 1e-9)).sum())
    return (len(ranks) - 1) * observed / spread, (hits + 1) / (NUM_SHUFFLES + 1)


def critical(groups: int, blocks: int) -> float:
    r"""Return the critical difference of average ranks at 5 %.

    $$ q_{0.05, k} \sqrt{\frac{k (k + 1)}{6 n}} $$

    with q the quantile of the studentised range over the root of two.

    Reference: Demšar 2006, https://jmlr.org/papers/v7/demsar06a.html, after Nemenyi 1963.
    """
    # Deferred: takes longer to import than all the rest.
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(0.95, groups, np.inf)) / math.sqrt(2)
    return q * math.sqrt(groups * (groups + 1) / (6 * blocks))


def _pairs(scores: Scores, groups: Sequence[str], against: str | None) -> list[Pair]:
    if against is None:
        named = [(one, other) for i, one in enumerate(groups) for other in groups[i + 1 :]]
    else:
        named = [(group, against) for group in groups if group != against]
    found = [pair(scores, one, other) for one, other in named]
    tested = {str(i): each.p for i, each in enumerate(found) if each.p is not None}
    corrected = holm(tested)
    by_rank = holm({str(i): each.p_rank for i, each in enumerate(found)})
    return [
        replace(each, p_holm=corrected.get(str(i)), p_rank_holm=by_rank[str(i)])
        for i, each in enumerate(found)
    ]


def pair(scores: Scores, first: str, second: str) -> Pair:
    r"""Compare two groups over the blocks that both have.

    Of n differences d with mean m and standard deviation s the t-test is that of
    $ m \sqrt{n} / s $ with n - 1 degrees of freedom: it takes them for normal. Wilcoxon's takes
    only the ranks of their sizes and can go no lower than 2 / 2^n, see `least`.

    Args:
        scores: of all groups; the two have a block in common.
        first: a group.
        second: another.

    Reference: Student 1908, https://doi.org/10.2307/2331554; Wilcoxon 1945,
    https://doi.org/10.2307/3001968
    """
    common = [block for block in scores[first] if block in scores[second]]
    d = np.array([scores[first][block] - scores[second][block] for block in common])
    # Equal scores may differ in their last digit.
    d = np.where(np.abs(d) < 1e-12, 0.0, d)
    mean, low, high, p = float(d.mean()), None, None, None
    if d.size > 1:
        se = float(d.std(ddof=1)) / math.sqrt(d.size)
        half = float(stdtrit(d.size - 1, 0.975)) * se
        low, high = mean - half, mean + half
        if se > 1e-12:
            p = float(2 * stdtr(d.size - 1, -abs(mean) / se))
    sizes = np.sign(d[d != 0]) * ranked(np.abs(d[d != 0]))
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    p_rank = sign_flip(sizes) if sizes.size else 1.0
    return Pair(first, second, len(common), wins, losses, mean, low, high, p, p_rank)


def content(found: Ranking) -> dict[str, Any]:
    """Return a ranking as JSON values."""
    rows = zip(found.groups, found.average, found.means, found.ranks, strict=True)
    return {
        "groups": [
            {"group": group, "rank": float(rank), "score": float(mean), "ranks": each.tolist()}
            for group, rank, mean, each in rows
        ],
        "blocks": list(found.blocks),
        "incomplete": list(found.incomplete),
        "left_out": list(found.left_out),
        "friedman": None if found.chi2 is None else {"chi2": found.chi2, "p": found.p},
        "critical_difference": found.critical,
        "reference": found.reference,
        "pairs": [asdict(each) for each in found.pairs],
    }


def least(blocks: int) -> float:
    """Return the smallest p-value that Wilcoxon's test can give over so many blocks.

    >>> least(5)
    0.0625
    """
    return max(2.0 ** (1 - blocks), 1 / (NUM_FLIPS + 1))
