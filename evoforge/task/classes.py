"""Scores of choices that are the same classes for every item."""

from collections import Counter
from collections.abc import Sequence


def balanced_weights(gold: Sequence[int]) -> tuple[float, ...]:
    """Return weights with equal sums for each class; their sum is 1.

    Example:
        >>> balanced_weights([0, 0, 1])
        (0.25, 0.25, 0.5)
    """
    count = Counter(gold)
    return tuple(1 / (len(count) * count[label]) for label in gold)


def macro_f1(gold: Sequence[int], chosen: Sequence[int]) -> float:
    """Return the mean F1 of all classes that are right or chosen anywhere, in [0, 1]."""
    right = Counter(a for a, b in zip(gold, chosen, strict=True) if a == b)
    wanted, given = Counter(gold), Counter(chosen)
    classes = wanted.keys() | given.keys()
    return sum(2 * right[c] / (wanted[c] + given[c]) for c in classes) / len(classes)


def matthews(gold: Sequence[int], chosen: Sequence[int]) -> float:
    """Return Matthews' correlation for any number of classes, in [-1, 1]; 0 where it has no value.

    Reference:
        Gorodkin 2004, https://doi.org/10.1016/j.compbiolchem.2004.09.006
    """
    wanted, given, total = Counter(gold), Counter(chosen), len(gold)
    right = sum(a == b for a, b in zip(gold, chosen, strict=True))
    covariance = right * total - sum(wanted[c] * given[c] for c in wanted)
    spread = total**2 - sum(n**2 for n in wanted.values())
    other = total**2 - sum(n**2 for n in given.values())
    return covariance / (spread * other) ** 0.5 if spread and other else 0.0
