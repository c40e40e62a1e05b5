"""What is found by drawing again: bootstrap intervals and p-values, and sign flips.

All draws come from a fixed seed, so that the same scores always say the same.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Scores: TypeAlias = NDArray[np.float64]

SEED = 20260101
NUM_RESAMPLES = 4000
NUM_FLIPS = 20000
# Up to here every pattern of signs is counted; 2 ** 13 patterns are fewer than NUM_FLIPS.
EXACT = 13
# Numbers to draw at once: bounds the memory at about 16 MB.
CHUNK = 2_000_000
# Fewer items than this say too little of their own spread, and are drawn from together.
SMALLEST = 5


def bootstrap(values: Scores, weights: Scores | None = None) -> tuple[float, float]:
    """Return the percentile bootstrap's 95 % interval of a (weighted) mean.

    The 2.5th and 97.5th percentile of `resampled` means.

    Args:
        values: (n,) at least one.
        weights: (n,) what each counts, None: all the same.

    Reference: Efron 1979, https://doi.org/10.1214/aos/1176344552
    """
    return ends(resampled(values, weights), average(values, weights))


def ends(means: Scores, mean: float) -> tuple[float, float]:
    """Return the middle 95 % of resampled means; the observed mean is never outside."""
    low, high = np.percentile(means, (2.5, 97.5))
    return min(float(low), mean), max(float(high), mean)


def bootstrap_p(means: Scores, mean: float) -> float:
    """Return the two-sided p-value of the paired bootstrap.

    The share of resampled mean differences that lie as far from the observed one as that lies
    from zero; the observed one is added to both sides of the fraction.

    Args:
        means: (r,) resampled.
        mean: the observed difference.

    Reference: Berg-Kirkpatrick 2012, https://aclanthology.org/D12-1091, after Koehn 2004.
    """
    # A tie must stay a tie under rounding.
    far = np.abs(means - mean) >= abs(mean) - 1e-12
    return float((int(far.sum()) + 1) / (means.size + 1))


def average(values: Scores, weights: Scores | None = None) -> float:
    """Return a (weighted) mean."""
    return float(values.mean() if weights is None else weights @ values / weights.sum())


def resampled(values: Scores, weights: Scores | None = None) -> Scores:
    """Return the means of `NUM_RESAMPLES` samples of the same size, drawn with replacement.

    Items that weigh differently were put together on purpose: they are of different classes, or of
    different tasks. So as many as there are of each weight are drawn from each (see `strata`).

    Reference: Efron and Tibshirani 1993, An Introduction to the Bootstrap, sections 6.2 and 8.3:
    samples of several populations are drawn from each on its own.
    """
    if weights is None:
        return _means(values, None)
    total = np.zeros(NUM_RESAMPLES)
    for number, stratum in enumerate(strata(weights)):
        own = weights[stratum]
        share = float(own.sum() / weights.sum())
        total += share * _means(values[stratum], as_weights(own), number)
    return total


def strata(weights: Scores) -> list[NDArray[np.intp]]:
    """Return the positions of items of equal weight; those of rare weights stand together.

    Items that weigh nothing are left out. Classes or tasks that happen to weigh the same stand
    together too, which makes an interval wider, not narrower.
    """
    kept = np.flatnonzero(weights)
    # Weights of one class can differ in their last digits.
    _, group = np.unique(np.round(weights[kept] / weights.max(), 9), return_inverse=True)
    groups = [kept[group == number] for number in range(int(group.max()) + 1)]
    rare = [g for g in groups if g.size < SMALLEST]
    common = [g for g in groups if g.size >= SMALLEST]
    return [*common, *([np.concatenate(rare)] if rare else [])]


def _means(values: Scores, weights: Scores | None, stratum: int = 0) -> Scores:
    """Return the (weighted) means of resamples of one stratum."""
    rng = np.random.default_rng([SEED, stratum] if stratum else SEED)
    rows = max(1, CHUNK // values.size)
    means: list[Scores] = []
    for done in range(0, NUM_RESAMPLES, rows):
        drawn = rng.integers(values.size, size=(min(rows, NUM_RESAMPLES - done), values.size))
        if weights is None:
            means.append(values[drawn].mean(axis=1))
        else:
            weighed = weights[drawn]
            means.append((weighed * values[drawn]).sum(axis=1) / weighed.sum(axis=1))
    return np.concatenate(means)


def sign_flip(differences: Scores) -> float:
    r"""Return the two-sided p-value of the paired permutation test.

    If there is no difference, each item's difference is as likely to have the other sign. The
    p-value is the share of sign patterns s with |sum s_i d_i| >= |sum d_i|: all patterns are
    counted up to `EXACT` items that differ, else `NUM_FLIPS` are drawn from a fixed seed and the
    observed one is added to both sides of the fraction.

    Args:
        differences: (n,) where items weigh differently, each times its weight.

    Reference: Fisher 1935, The Design of Experiments, section 21.
    """
    values = differences[differences != 0]
    # A tie must stay a tie under rounding.
    bound = abs(float(values.sum())) - 1e-9 * float(np.abs(values).sum())
    if values.size <= EXACT:
        patterns = np.arange(1 << values.size)[:, None] >> np.arange(values.size)[None, :]
        return float((np.abs(_signs(patterns & 1) @ values) >= bound).mean())
    hits = sum(int((np.abs(_signs(bits) @ values) >= bound).sum()) for bits in _flips(values.size))
    return (hits + 1) / (NUM_FLIPS + 1)


def _flips(size: int) -> Iterator[NDArray[Any]]:
    rng = np.random.default_rng(SEED)
    rows = max(1, CHUNK // size)
    for done in range(0, NUM_FLIPS, rows):
        yield rng.integers(2, size=(min(rows, NUM_FLIPS - done), size), dtype=np.int8)


def _signs(bits: NDArray[Any]) -> Scores:
    return 1.0 - 2.0 * bits


def as_weights(weights: Sequence[float] | Scores | None) -> Scores | None:
    """Return weights as an array; None if all are the same, up to their last digits."""
    if weights is None:
        return None
    found = np.asarray(weights, dtype=np.float64)
    return None if np.ptp(found) <= 1e-9 * found.max() else found
