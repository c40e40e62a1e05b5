"""Sums whose value does not depend on the number of threads.

A plain `sum` over a whole tensor is split among the threads and rounds differently with each
number of them; a recipe must give the same bytes everywhere.
"""

import math

import torch

# Elements summed by one thread in one go.
ROW = 1 << 14


def total(values: torch.Tensor) -> float:
    """Return the sum of all elements in float64: rows of fixed length, then the rows' sums."""
    flat = values.reshape(-1)
    whole = flat.numel() // ROW * ROW
    rows = flat[:whole].view(-1, ROW).sum(1, dtype=torch.float64)
    rest = flat[whole:].sum(dtype=torch.float64)
    # Short enough to be summed by one thread for any tensor that exists.
    return float(rows.sum() + rest)


def dot(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the inner product of two tensors of one shape."""
    return total(first * second)


def norm(values: torch.Tensor) -> float:
    """Return the Euclidean norm."""
    return math.sqrt(dot(values, values))
