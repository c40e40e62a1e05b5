"""SCE: select what varies between models, calculate weights from it, erase what disagrees."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from evoforge.merge._engine import parts
from evoforge.merge._magnitudes import EPSILON, Magnitudes
from evoforge.merge._masks import as_float
from evoforge.merge._reduce import Total, added
from evoforge.merge._task_vectors import lambda_range
from evoforge.merge.base import Numbers, Part, TensorMerger, Whole
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range

# A divisor at least.
NOTHING = 1e-6


class Sce(TensorMerger):
    """Select, calculate, erase.

    Of the elements whose task vectors differ the `density` share of highest variance is selected;
    each source's weight is the mean square of its selected elements, over the sum of all sources';
    of each element only those task vectors are kept that have the sign of their sum:
    theta = base + lambda sum w_m delta_m / sum w_m over what is kept. Every tensor has weights of
    its own.

    Args:
        pool: the sources, two at least, and their base.
        density: share selected: number or range in (0, 1].
        lambda_: factor on the whole: number or range.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, there is no base, or one source only.

    Reference:
        Wan 2024, FuseChat (arXiv 2408.07990), section 3.3.
    """

    least = 2

    def __init__(
        self,
        pool: Pool,
        *,
        density: Any = 1.0,
        lambda_: Any = 1.0,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        super().__init__(
            pool,
            ranges={},
            shared={
                "density": Range.parse("density", density, low=0, high=1, open_low=True),
                "lambda_": lambda_range(lambda_),
            },
            options={},
            granularity=granularity,
            block_size=block_size,
        )
        # Of each tensor the last density and its weights.
        self._known: dict[tuple[str, ...], tuple[float, list[float]]] = {}
        self._ranks: dict[tuple[str, ...], Magnitudes] = {}

    def numbers(self, whole: Whole) -> Numbers:
        """Return the lowest variance that is selected, and the sources' weights."""
        numbers = {**super().numbers(whole), "least": torch.tensor(self._least(whole))}
        return {**numbers, "weight": torch.tensor(self._weights(whole, numbers))}

    def _weights(self, whole: Whole, numbers: Numbers) -> list[float]:
        """Return the weight of each source: the mean square of what is selected of it, scaled."""
        key, density = (whole.name, *whole.sources), whole.shared["density"]
        if key in self._known and self._known[key][0] == density:
            return self._known[key][1]
        squares = [Total() for _ in whole.tensors]
        for part in parts(whole, numbers):
            deltas = _deltas(part)
            selected = as_float(torch.ge, variance(deltas), part["least"])
            for total, delta in zip(squares, deltas, strict=True):
                total.add((delta * selected).square_())
        found = [total.value for total in squares]
        summed = sum(found)
        weights = [value / summed if summed > 0 else 1 / len(found) for value in found]
        self._known[key] = density, weights
        return weights

    def _least(self, whole: Whole) -> float:
        """Return the lowest variance that is selected; what does not vary is selected with all."""
        density = whole.shared["density"]
        if density >= 1.0:
            return 0.0
        key = (whole.name, *whole.sources)
        variances = partial(_variances, whole)
        if key not in self._ranks:
            self._ranks[key] = Magnitudes(variances)
        ranks = self._ranks[key]
        count = int(density * (ranks.size - ranks.zeros) + EPSILON)
        return ranks.largest(count, variances) if count else float("inf")

    def merge(self, part: Part) -> torch.Tensor:
        """Return the base plus the weighted mean of what is selected and agrees in sign."""
        deltas = _deltas(part)
        selected = as_float(torch.ge, variance(deltas), part["least"])
        up = as_float(torch.ge, added(deltas), 0)
        mixed, divisor = torch.zeros_like(up), torch.zeros_like(up)
        for index, delta in enumerate(deltas):
            agrees = as_float(torch.gt, delta, 0) * up + as_float(torch.lt, delta, 0) * (1 - up)
            weight = agrees * selected * part["weight"][index]
            mixed = mixed + delta * weight
            divisor = divisor + weight
        return mixed / divisor.clamp(min=NOTHING) * part["lambda_"] + part.anchor


def variance(deltas: list[torch.Tensor]) -> torch.Tensor:
    """Return the variance of each element over the task vectors, all of them counted."""
    mean = added(deltas) / len(deltas)
    return added([(delta - mean).square() for delta in deltas]) / len(deltas)


def _deltas(part: Part) -> list[torch.Tensor]:
    return [part.delta(index) for index in range(len(part.tensors))]


def _variances(whole: Whole, size: int) -> Iterator[torch.Tensor]:
    blocks = zip(*(whole.blocks(index, size) for index in range(len(whole.tensors))), strict=True)
    for deltas in blocks:
        yield variance(list(deltas))
