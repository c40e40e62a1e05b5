"""Breadcrumbs: drop the largest and the smallest changes, add the rest."""

from typing import Any

from evoforge.merge._breadcrumbs import Masked
from evoforge.merge._task_vectors import (
    RESCALES,
    check_choice,
    density_range,
    lambda_range,
    weight_range,
)
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range


class Breadcrumbs(Masked):
    """Task arithmetic on task vectors without outliers and without small change.

    Of each task vector the `gamma` share of largest magnitudes is dropped, of the rest the
    `density` share (of the whole) of largest ones is kept; then
    theta = base + lambda sum_m w_m delta_m.

    Args:
        pool: the sources and their base.
        weight: number or range; any sign.
        density: share kept: number or range in (0, 1].
        gamma: share of largest magnitudes that is dropped: number or range in [0, 1).
        lambda_: factor on the whole sum: number or range.
        normalize: whether to divide by the sum of the weights.
        rescale: of what was kept: `none`, `l1` (keep the sum of magnitudes), `expected` (divide
            by the density).
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, or there is no base.

    Reference:
        Davari 2023, Model Breadcrumbs (arXiv 2312.06795).
    """

    def __init__(
        self,
        pool: Pool,
        *,
        weight: Any = 0.5,
        density: Any = 0.5,
        gamma: Any = 0.01,
        lambda_: Any = 1.0,
        normalize: bool = False,
        rescale: str = "none",
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        check_choice("rescale", rescale, RESCALES)
        super().__init__(
            pool,
            ranges={
                "weight": weight_range(weight),
                "density": density_range(density),
                "gamma": Range.parse("gamma", gamma, low=0, high=0.999),
            },
            shared={"lambda_": lambda_range(lambda_)},
            options={"normalize": normalize, "rescale": rescale},
            granularity=granularity,
            block_size=block_size,
        )
