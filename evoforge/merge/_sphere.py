"""Methods that look at tensors as vectors: each merge is a linear combination of its sources.

Interpolating along arcs, means on a sphere, angles between task vectors: all of them lie in the
span of the sources, so a vector is its shares of them, and lengths and angles follow from the
sources' inner products alone. These are the same for every candidate and computed once; what is
left for each candidate is a weighted sum.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from evoforge.merge._engine import BLOCK, by_rows
from evoforge.merge._part import Numbers, Part, Whole
from evoforge.merge._reduce import Total
from evoforge.merge._tensors import TensorMerger

# What counts as one vector: a whole tensor, each of its rows, or each of its columns.
Along = Literal["tensor", "row", "column"]
ALONGS: tuple[Along, ...] = get_args(Along)
# (sources,), (sources, rows) or (sources, columns) float64
Shares = NDArray[np.float64]
# (sources, sources), with rows or columns behind
Gram = NDArray[np.float64]
EPSILON = 1e-8


class Spherical(TensorMerger):
    """A linear combination of sources, or of task vectors, with shares found from their angles.

    theta = [base + lambda] sum_m c_m x_m, where x_m are the sources or, with a base, their task
    vectors.
    """

    along: str = "tensor"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._grams: dict[tuple[str, ...], Gram] = {}

    def numbers(self, whole: Whole) -> Numbers:
        """Return the shares of all sources."""
        key = (whole.name, *whole.sources)
        if key not in self._grams:
            self._grams[key] = gram(whole, self.along)
        shares = self.shares(whole, self._grams[key]) * whole.shared.get("lambda_", 1.0)
        found = torch.from_numpy(shares).float()
        if self.along == "row":
            found = found[:, :, None]
        return {"share": found[:, None, :] if self.along == "column" else found}

    @abstractmethod
    def shares(self, whole: Whole, gram: Gram) -> Shares:
        """Return the share of each source.

        Args:
            whole: the tensor of every source, with its parameters.
            gram: the inner products of the sources, or of their task vectors.
        """

    def merge(self, part: Part) -> torch.Tensor:
        """Return the sources with their shares, on the base if there is one."""
        shares = part["share"]
        if part.base is None:
            return combine(part.tensors, shares)
        return combine([part.delta(i) for i in range(len(part.tensors))], shares) + part.base


def combine(tensors: Sequence[torch.Tensor], shares: torch.Tensor) -> torch.Tensor:
    """Return the sum of tensors, each times its share; shares: (sources, ...) float32."""
    total = tensors[0] * shares[0]
    for index, tensor in enumerate(tensors[1:], start=1):
        total = total + tensor * shares[index]
    return total


def gram(whole: Whole, along: str) -> Gram:
    """Return the inner products of the sources, or of their task vectors where there is a base."""
    count = len(whole.tensors)
    rows = by_rows(whole.tensors[0]).shape[0]
    # A tensor with one dimension is one vector, along whatever vectors lie.
    single = whole.tensors[0].ndim < 2 or (along == "row" and rows == 1)
    found: list[list[Any]] = [[None] * count for _ in range(count)]
    for i in range(count):
        for j in range(i + 1):
            if along == "tensor" or single:
                found[i][j] = found[j][i] = _dot(whole, i, j)
            else:
                found[i][j] = found[j][i] = _dots(whole, i, j, along)
    gram = np.array(found, dtype=np.float64)
    return gram[:, :, None] if along != "tensor" and single else gram


def _dot(whole: Whole, i: int, j: int) -> float:
    total = Total()
    for one, other in zip(whole.blocks(i, BLOCK), whole.blocks(j, BLOCK), strict=True):
        total.add(one * other)
    return total.value


def _dots(whole: Whole, i: int, j: int, along: str) -> NDArray[np.float64]:
    one, other = (by_rows(_vector(whole, index)) for index in (i, j))
    return (one * other).sum(1 if along == "row" else 0, dtype=torch.float64).cpu().numpy()


def _vector(whole: Whole, index: int) -> torch.Tensor:
    tensor = whole.tensors[index].float()
    return tensor if whole.base is None else tensor - whole.base.float()


def inner(gram: Gram, one: Shares, other: Shares) -> Any:
    """Return the inner product of two vectors given by their shares."""
    return np.einsum("i...,ij...,j...->...", one, gram, other)


def length(gram: Gram, shares: Shares) -> Any:
    """Return the length of a vector given by its shares."""
    return np.sqrt(np.maximum(inner(gram, shares, shares), 0.0))


def unit(gram: Gram, index: int) -> Shares:
    """Return the shares of a source itself."""
    shares = np.zeros(gram.shape[1:])
    shares[index] = 1.0
    return shares


def arc(gram: Gram, one: Shares, other: Shares, t: float, parallel: float) -> Shares:
    """Return the point at `t` in [0, 1] on the arc between two vectors.

    slerp(a, b, t) = sin((1 - t) theta) / sin(theta) a + sin(t theta) / sin(theta) b; a straight
    line where one of them is nothing, or |cos theta| is above `parallel`.

    Reference:
        Shoemake 1985, Animating Rotation with Quaternion Curves.
    """
    lengths = length(gram, one) * length(gram, other)
    cosine = inner(gram, one, other) / np.maximum(lengths, EPSILON**2)
    straight = (lengths <= EPSILON**2) | (np.abs(cosine) > parallel)
    theta = np.arccos(np.clip(np.where(straight, 0.0, cosine), -1.0, 1.0))
    sine = np.sin(theta)
    mine = np.where(straight, 1 - t, np.sin((1 - t) * theta) / sine)
    yours = np.where(straight, t, np.sin(t * theta) / sine)
    return mine * one + yours * other


def mean_direction(gram: Gram, weights: NDArray[np.float64]) -> tuple[Shares, Any]:
    """Return the weighted mean of the unit vectors, and its length; zero vectors have none."""
    lengths = np.sqrt(np.maximum(np.einsum("ii...->i...", gram), 0.0))
    column = weights.reshape(-1, *[1] * (lengths.ndim - 1))
    mean = np.where(lengths > EPSILON, column / np.maximum(lengths, EPSILON), 0.0)
    return mean, length(gram, mean)


def normalized(weights: Sequence[float]) -> NDArray[np.float64]:
    """Return weights divided by their sum; alike if they sum to nothing."""
    summed = sum(weights)
    if summed < EPSILON:
        return np.full(len(weights), 1 / len(weights))
    return np.array(weights) / summed
