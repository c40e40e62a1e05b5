"""How sure a score is: intervals, and tests between two models on the same items.

Everything is deterministic: what draws random numbers draws them from a fixed seed. Statistics
know lists of numbers and item ids; they do not know models, tasks or runs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evoforge.record import ItemResult

Scores = NDArray[np.float64]

# The 97.5th percentile of the normal distribution: two-sided 95 %.
Z = 1.959963984540054
SEED = 20260101
NUM_RESAMPLES = 4000
NUM_FLIPS = 20000
# Up to here every pattern of signs is counted; 2 ** 13 patterns are fewer than NUM_FLIPS.
EXACT = 13
# Numbers to draw at once: bounds the memory at about 16 MB.
CHUNK = 2_000_000


@dataclass(frozen=True)
class Paired:
    """One model against another on the same items.

    Args:
        difference: mean of the first less mean of the second.
        low: lower end of the difference's 95 % interval.
        high: upper end of the difference's 95 % interval.
        p: two-sided p-value of no difference.
        wins: items where the first scores higher.
        losses: items where the second scores higher.
        test: the name of the test.
    """

    difference: float
    low: float
    high: float
    p: float
    wins: int
    losses: int
    test: str


def binary(scores: Scores) -> bool:
    """Return whether every score is 0 or 1."""
    return bool(np.isin(scores, (0.0, 1.0)).all())


def interval(scores: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of per-item scores and its 95 % interval: (score, low, high).

    Wilson's interval where all scores are 0 or 1, else the bootstrap's.

    Raises:
        ValueError: there are no scores.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not values.size:
        raise ValueError("an interval needs at least one score")
    mean = float(values.mean())
    ends = wilson(int(values.sum()), values.size) if binary(values) else bootstrap(values)
    return mean, *ends


def wilson(right: int, total: int) -> tuple[float, float]:
    r"""Return Wilson's 95 % score interval of a proportion.

    $$ \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n} $$

    Args:
        right: the number of successes.
        total: the number of trials, n; p is right / total.

    Reference: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953
    """
    p, z2 = right / total, Z * Z
    centre = p + z2 / (2 * total)
    half = Z * math.sqrt(p * (1 - p) / total + z2 / (4 * total * total))
    scale = 1 + z2 / total
    # Rounding must not push an end past the proportion, as at 0 and 1.
    return max(0.0, min((centre - half) / scale, p)), min(1.0, max((centre + half) / scale, p))


def bootstrap(values: Scores) -> tuple[float, float]:
    """Return the percentile bootstrap's 95 % interval of a mean.

    The 2.5th and 97.5th percentile of the means of `NUM_RESAMPLES` samples of the same size,
    drawn with replacement from a fixed seed.

    Reference: Efron 1979, https://doi.org/10.1214/aos/1176344552
    """
    rng = np.random.default_rng(SEED)
    rows = max(1, CHUNK // values.size)
    means = [
        values[rng.integers(values.size, size=(min(rows, NUM_RESAMPLES - done), values.size))]
        .mean(axis=1)
        .astype(np.float64)
        for done in range(0, NUM_RESAMPLES, rows)
    ]
    low, high = np.percentile(np.concatenate(means), (2.5, 97.5))
    mean = float(values.mean())
    return min(float(low), mean), max(float(high), mean)


def paired(first: Sequence[ItemResult], second: Sequence[ItemResult]) -> Paired:
    """Compare two models item by item.

    Where all scores are 0 or 1: the exact McNemar test and the interval of Agresti and Min. Else
    the sign-flip permutation test and the bootstrap of the differences.

    Raises:
        ValueError: the two were not scored on the same items, or on none.
    """
    one, two = ({result.item: result.score for result in results} for results in (first, second))
    if one.keys() != two.keys() or not one:
        odd = sorted(one.keys() ^ two.keys())
        raise ValueError(f"a paired test needs the same items on both sides; unmatched: {odd[:3]}")
    a = np.array([one[item] for item in one], dtype=np.float64)
    b = np.array([two[item] for item in one], dtype=np.float64)
    difference = a - b
    wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
    if binary(a) and binary(b):
        low, high = agresti_min(wins, losses, len(one))
        p, test = mcnemar(wins, losses), "exact McNemar test"
    else:
        low, high = bootstrap(difference)
        p, test = sign_flip(difference), "paired permutation test"
    return Paired(float(difference.mean()), low, high, p, wins, losses, test)


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


def sign_flip(differences: Scores) -> float:
    r"""Return the two-sided p-value of the paired permutation test.

    If there is no difference, each item's difference is as likely to have the other sign. The
    p-value is the share of sign patterns s with |sum s_i d_i| >= |sum d_i|: all patterns are
    counted up to `EXACT` items that differ, else `NUM_FLIPS` are drawn from a fixed seed and the
    observed one is added to both sides of the fraction.

    Reference: Fisher 1935, The Design of Experiments, section 21.
    """
    values = differences[differences != 0]
    # A tie must stay a tie under rounding.
    bound = abs(float(values.sum())) - 1e-9 * float(np.abs(values).sum())
    if values.size <= EXACT:
        patterns = np.arange(1 << values.size)[:, None] >> np.arange(values.size)[None, :]
        return float((np.abs(_signs(patterns & 1) @ values) >= bound).mean())
    rng = np.random.default_rng(SEED)
    rows = max(1, CHUNK // values.size)
    hits = 0
    for done in range(0, NUM_FLIPS, rows):
        bits = rng.integers(2, size=(min(rows, NUM_FLIPS - done), values.size), dtype=np.int8)
        hits += int((np.abs(_signs(bits) @ values) >= bound).sum())
    return (hits + 1) / (NUM_FLIPS + 1)


def _signs(bits: NDArray[Any]) -> Scores:
    return 1.0 - 2.0 * bits
