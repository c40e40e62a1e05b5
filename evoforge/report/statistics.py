"""How sure a score is: intervals, and tests between two models on the same items.

Everything is deterministic: what draws random numbers draws them from a fixed seed. Statistics
know lists of numbers and item ids; they do not know models, tasks or runs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evoforge.record import ItemResult
from evoforge.report.resampling import (
    Scores,
    as_weights,
    average,
    bootstrap,
    bootstrap_p,
    ends,
    resampled,
    sign_flip,
    strata,
)

# The 97.5th percentile of the normal distribution: two-sided 95 %.
Z = 1.959963984540054


class Interval(NamedTuple):
    """A score, its 95 % interval, and its standard error (None of a single item)."""

    score: float
    low: float
    high: float
    se: float | None


@dataclass(frozen=True)
class Paired:
    """One model against another on the same items.

    Args:
        difference: score of the first less score of the second.
        low: lower end of the difference's 95 % interval.
        high: upper end of the difference's 95 % interval.
        se: the difference's standard error; None of a single item.
        p: two-sided p-value of no difference.
        p_bootstrap: the same by the paired bootstrap, to set beside others' figures.
        wins: items where the first scores higher.
        losses: items where the second scores higher.
        test: the name of the test that `p` is from.
    """

    difference: float
    low: float
    high: float
    se: float | None
    p: float
    p_bootstrap: float
    wins: int
    losses: int
    test: str


def binary(scores: Scores) -> bool:
    """Return whether every score is 0 or 1."""
    return bool(np.isin(scores, (0.0, 1.0)).all())


def interval(scores: Sequence[float], weights: Sequence[float] | None = None) -> Interval:
    """Return the (weighted) mean of per-item scores with its 95 % interval and standard error.

    Wilson's interval where all scores are 0 or 1, that of `stratified` if they weigh differently;
    else the bootstrap's. Items of weight 0 do not count, such as those of a suite's task that is a
    mere condition.

    Args:
        scores: (n,) of items.
        weights: (n,) what each counts, None: all the same.

    Raises:
        ValueError: there are no scores.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not values.size:
        raise ValueError("an interval needs at least one score")
    weighed, (values,) = counted(weights, values)
    mean, se = average(values, weighed), standard_error(values, weighed)
    if not binary(values):
        return Interval(mean, *bootstrap(values, weighed), se)
    if weighed is None:
        return Interval(mean, *wilson(values.sum(), values.size), se)
    return Interval(mean, *stratified(values, weighed), se)


def counted(
    weights: Sequence[float] | None, *scores: Scores
) -> tuple[Scores | None, tuple[Scores, ...]]:
    """Return the weights that are not 0, None if all of them are the same, and their scores."""
    if weights is None:
        return None, scores
    kept = np.asarray(weights, dtype=np.float64) > 0
    return as_weights(np.asarray(weights)[kept]), tuple(values[kept] for values in scores)


def standard_error(values: Scores, weights: Scores | None = None) -> float | None:
    r"""Return the standard error of a (weighted) mean; None of a single item.

    With strata h of n_h items (those that weigh the same, see `strata`) of variance s_h^2, and
    each stratum's share W_h of all weights,

    $$ \sqrt{\sum_h W_h^2 s_h^2 / n_h} $$

    which is s over the root of n where all weigh the same.

    Args:
        values: (n,) scores.
        weights: (n,) what each counts, None: all the same.

    Reference: Cochran 1977, Sampling Techniques, section 5.4; Miller 2024,
    https://arxiv.org/abs/2411.00640
    """
    groups = [np.arange(values.size)] if weights is None else strata(weights)
    if any(group.size < 2 for group in groups):
        return None
    total = 0.0
    for group in groups:
        share = 1.0 if weights is None else float(weights[group].sum() / weights.sum())
        total += share * share * float(values[group].var(ddof=1)) / group.size
    return math.sqrt(total)


def wilson(right: float, total: float) -> tuple[float, float]:
    r"""Return Wilson's 95 % score interval of a proportion.

    $$ \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n} $$

    Args:
        right: the number of successes.
        total: the number of trials, n; p is right / total.

    Reference: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953
    """
    p, z2 = float(right / total), Z * Z
    centre = p + z2 / (2 * total)
    half = Z * math.sqrt(p * (1 - p) / total + z2 / (4 * total * total))
    scale = 1 + z2 / total
    # Rounding must not push an end past the proportion, as at 0 and 1.
    return max(0.0, min((centre - half) / scale, p)), min(1.0, max((centre + half) / scale, p))


def stratified(values: Scores, weights: Scores) -> tuple[float, float]:
    r"""Return the 95 % interval of a weighted mean of right and wrong.

    Each stratum h (see `strata`) has a share W_h of the weights and a proportion p_h with Wilson's
    ends l_h and u_h. The distances to them are put together as standard errors would be:

    $$ p - \sqrt{\sum_h W_h^2 (p_h - l_h)^2}, \quad p + \sqrt{\sum_h W_h^2 (u_h - p_h)^2} $$

    So a class of few items, or one that is all right, has its due width, where the bootstrap sees
    no spread. Where weights of a stratum differ, Kish's effective number stands for its size.

    Args:
        values: (n,) 0 or 1.
        weights: (n,) what each counts.

    Reference: Zou and Donner 2008, https://doi.org/10.1002/sim.3095; Kish 1965, Survey Sampling,
    section 11.7 (the effective number).
    """
    below = above = 0.0
    for group in strata(weights):
        own = weights[group]
        share = float(own.sum() / weights.sum())
        p, size = average(values[group], own), float(own.sum() ** 2 / (own**2).sum())
        low, high = wilson(size * p, size)
        below += (share * (p - low)) ** 2
        above += (share * (high - p)) ** 2
    mean = average(values, weights)
    return mean - math.sqrt(below), mean + math.sqrt(above)


def paired(
    first: Sequence[ItemResult],
    second: Sequence[ItemResult],
    weights: Mapping[str, float] | None = None,
) -> Paired:
    """Compare two models item by item.

    Where all scores are 0 or 1 and weigh the same: the exact McNemar test and the interval of
    Agresti and Min. Else the sign-flip permutation test of the weighted differences and the
    bootstrap.

    Args:
        first: of one model.
        second: of the other, on the same items.
        weights: what each item counts, by id; None: all the same.

    Raises:
        ValueError: the two were not scored on the same items, or on none.
    """
    one, two = ({result.item: result.score for result in results} for results in (first, second))
    if one.keys() != two.keys() or not one:
        odd = sorted(one.keys() ^ two.keys())
        raise ValueError(f"a paired test needs the same items on both sides; unmatched: {odd[:3]}")
    a = np.array([one[item] for item in one], dtype=np.float64)
    b = np.array([two[item] for item in one], dtype=np.float64)
    given = None if weights is None else [weights[item] for item in one]
    weighed, (a, b) = counted(given, a, b)
    difference = a - b
    mean, means = average(difference, weighed), resampled(difference, weighed)
    wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
    if binary(a) and binary(b) and weighed is None:
        low, high = agresti_min(wins, losses, a.size)
        p, test = mcnemar(wins, losses), "exact McNemar test"
    else:
        low, high = ends(means, mean)
        p = sign_flip(difference if weighed is None else difference * weighed)
        test = "paired permutation test"
    se, p_bootstrap = standard_error(difference, weighed), bootstrap_p(means, mean)
    return Paired(mean, low, high, se, p, p_bootstrap, wins, losses, test)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values corrected for being several, by Holm's method.

    The smallest of m is multiplied by m, the next by m - 1, and so on, and none is smaller than
    the one before it. With the corrected ones, the chance of a single wrong claim among all of
    them is at most the level, whatever depends on what.

    Args:
        p_values: by name.

    Reference: Holm 1979, https://www.jstor.org/stable/4615733
    """
    found: dict[str, float] = {}
    least = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[name]))
        found[name] = least
    return {name: found[name] for name in p_values}


def mcnemar(wins: int, losses: int) -> float:
    r"""Return the exact two-sided p-value of McNemar's test.

    Of the n items where two models differ, each is as likely to win as to lose:

    $$ p = \min\left(1, 2 \sum_{i=0}^{\min(w, l)} \binom{n}{i} 2^{-n}\right) $$

    Reference: McNemar 1947, https://doi.org/10.1007/BF02295996
    """
    total = wins + losses
    tail = sum(math.comb(total, i) for i in range(min(wins, losses) + 1))
    # Integers of any size: exact until the one division.
    return min(1.0, 2 * tail / (1 << total))


def agresti_min(wins: int, losses: int, total: int) -> tuple[float, float]:
    r"""Return the 95 % interval of the difference of two paired proportions.

    Wald's interval after half an item is added to each of the four cells, so that it does not
    collapse where the models agree: with b = wins + 1/2, c = losses + 1/2, N = total + 2,

    $$ \frac{b - c}{N} \pm \frac{z}{N} \sqrt{b + c - \frac{(b - c)^2}{N}} $$

    Reference: Agresti and Min 2005, https://doi.org/10.1002/sim.1781
    """
    b, c, n = wins + 0.5, losses + 0.5, total + 2
    centre = (b - c) / n
    half = Z / n * math.sqrt(b + c - (b - c) ** 2 / n)
    return max(-1.0, centre - half), min(1.0, centre + half)
