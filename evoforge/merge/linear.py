"""Linear merging: a weighted mean of the weights themselves, the model soup."""

from collections.abc import Sequence
from typing import Any

import torch

from evoforge.merge._sphere import combine
from evoforge.merge._task_vectors import EPSILON, weight_range
from evoforge.merge.base import Numbers, Part, TensorMerger, Whole
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool


class Linear(TensorMerger):
    """Weighted mean of the sources.

    theta = sum_m w_m theta_m / sum_m w_m, without the division where `normalize` is off. Weights
    that sum to nothing are not divided by.

    Args:
        pool: the sources; the base takes no part.
        weight: number or range; any sign.
        normalize: whether to divide by the sum of the weights.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

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
            ranges={"weight": weight_range(weight)},
            options={"normalize": normalize},
            granularity=granularity,
            block_size=block_size,
        )

    def numbers(self, whole: Whole) -> Numbers:
        """Return the weights, divided by their sum if they are to be."""
        return {"share": torch.tensor(self._shares(whole))}

    def _shares(self, whole: Whole) -> list[float]:
        weights = whole.column("weight")
        summed = sum(weights)
        divisor = summed if self.options["normalize"] and abs(summed) >= EPSILON else 1.0
        return [weight / divisor for weight in weights]

    def factors_of_changes(self, whole: Whole) -> Sequence[float] | None:
        """Return the weights if they sum to 1: then a mean of models is one of their changes."""
        shares = self._shares(whole)
        return shares if abs(sum(shares) - 1) < EPSILON else None

    def merge(self, part: Part) -> torch.Tensor:
        """Return the weighted mean."""
        return combine(part.tensors, part["share"])
