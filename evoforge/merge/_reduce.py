"""Sums whose value does not depend on the number of threads.

A plain `sum` over a whole tensor is split among the threads and rounds differently with each
number of them; a recipe must give the same bytes everywhere.
"""

import math
from collections.abc import Sequence

import torch

# Elements summed by one thread in one go.
ROW = 1 << 14


class Total:
    """A sum in float64 over elements in blocks, whose sizes must not depend on threads."""

    def __init__(self) -> None:
        self._sums: list[torch.Tensor] = []

    def add(self, values: torch.Tensor) -> None:
        """Add the next elements."""
        flat = values.reshape(-1)
        whole = flat.numel() // ROW * ROW
        self._sums.append(flat[:whole].view(-1, ROW).sum(1, dtype=torch.float64))
        self._sums.append(flat[whole:].sum(dtype=torch.float64).reshape(1))

    @property
    def value(self) -> float:
        """The sum so far."""
        return math.fsum(torch.cat(self._sums).tolist())


def total(values: torch.Tensor) -> float:
    """Return the sum of all elements in float64."""
    found = Total()
    found.add(values)
    return found.value


def dot(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the inner product of two tensors of one shape."""
    return total(first * second)


def norm(values: torch.Tensor) -> float:
    """Return the Euclidean norm."""
    return math.sqrt(dot(values, values))


def added(terms: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the sum of tensors element by element, in order."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
