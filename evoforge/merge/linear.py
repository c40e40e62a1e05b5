"""Linear merging: a weighted mean of the weights themselves, the model soup."""

from typing import Any

import torch

from evoforge.merge._task_vectors import EPSILON
from evoforge.merge.base import Part, TensorMerger
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range


class Linear(TensorMerger):
    """Weighted mean of the sources.

    theta = sum_m w_m theta_m / sum_m w_m, without the division where `normalize` is off. Weights
    that sum to nothing are not divided by.

    Args:
        pool: the sources; the base takes no part.
        weight: number or range; any sign.
        normalize: whether to divide by the sum of the weights.
        granularity: `whole`, `block`, `layer` or `module`.
        block_size: layers to a group for `block`.

    Raises:
        ConfigError: an option makes no sense.

    Reference:
        Wortsman 2022, Model soups (arXiv 2203.05482).
    """

    needs_base = False

    def __init__(
        self,
        pool: Pool,
        *,
        weight: Any = 0.5,
        normalize: bool = True,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        super().__init__(
            pool,
            ranges={"weight": Range.parse("weight", weight, low=-10, high=10)},
            options={"normalize": normalize},
            granularity=granularity,
            block_size=block_size,
        )

    def merge(self, part: Part) -> torch.Tensor:
        """Return the weighted mean of one tensor."""
        weights = part.column("weight")
        merged = part.tensors[0] * weights[0]
        for tensor, weight in zip(part.tensors[1:], weights[1:], strict=True):
            merged.add_(tensor, alpha=weight)
        summed = sum(weights)
        if self.options["normalize"] and abs(summed) >= EPSILON:
            merged.div_(summed)
        return merged
