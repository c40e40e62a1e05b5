"""Task arithmetic: add what fine-tuning changed, weighted, to the base."""

from collections.abc import Sequence
from typing import Any

import torch

from evoforge.merge._task_vectors import TaskVectors, lambda_range, weight_range
from evoforge.merge.base import Part, Whole
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool


class TaskArithmetic(TaskVectors):
    """The base plus a weighted sum of task vectors.

    theta = base + lambda sum_m w_m (theta_m - base), divided by sum_m w_m with `normalize`.

    Args:
        pool: the sources and their base.
        weight: number or range; any sign.
        lambda_: factor on the whole sum: number or range.
        normalize: whether to divide by the sum of the weights.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, or there is no base.

    Reference:
        Ilharco 2023, Editing Models with Task Arithmetic (arXiv 2212.04089).
    """

    def __init__(
        self,
        pool: Pool,
        *,
        weight: Any = 0.5,
        lambda_: Any = 1.0,
        normalize: bool = False,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        super().__init__(
            pool,
            ranges={"weight": weight_range(weight)},
            shared={"lambda_": lambda_range(lambda_)},
            options={"normalize": normalize},
            granularity=granularity,
            block_size=block_size,
        )

    def factors_of_changes(self, whole: Whole) -> Sequence[float]:
        """Return the weights, with the factor on their sum."""
        gain = self.gain(whole)
        return [weight * gain for weight in whole.column("weight")]

    def keep(self, part: Part, index: int) -> torch.Tensor:
        """Return the whole task vector."""
        return part.delta(index)
