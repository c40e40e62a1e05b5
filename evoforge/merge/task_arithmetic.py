"""Task arithmetic: add what fine-tuning changed, weighted, to the base."""

from typing import Any

import torch

from evoforge.merge._task_vectors import add
from evoforge.merge.base import Part, TensorMerger
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range


class TaskArithmetic(TensorMerger):
    """The base plus a weighted sum of task vectors.

    theta = base + lambda sum_m w_m (theta_m - base), divided by sum_m w_m with `normalize`.

    Args:
        pool: the sources and their base.
        weight: number or range; any sign.
        lambda_: factor on the whole sum.
        normalize: whether to divide by the sum of the weights.
        granularity: `whole`, `block`, `layer` or `module`.
        block_size: layers to a group for `block`.

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
        lambda_: float = 1.0,
        normalize: bool = False,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        super().__init__(
            pool,
            ranges={"weight": Range.parse("weight", weight, low=-10, high=10)},
            options={"lambda_": lambda_, "normalize": normalize},
            granularity=granularity,
            block_size=block_size,
        )

    def merge(self, part: Part) -> torch.Tensor:
        """Return the base's tensor plus the weighted task vectors."""
        return add(
            part.anchor,
            [part.delta(i) for i in range(len(part.tensors))],
            part.column("weight"),
            [1.0] * len(part.tensors),
            elect=False,
            normalize=self.options["normalize"],
            lambda_=self.options["lambda_"],
        )
