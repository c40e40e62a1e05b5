"""DARE-TIES: task vectors thinned out at random, then added where their signs agree."""

from typing import Any

from evoforge.merge._dare import Dare
from evoforge.merge._task_vectors import (
    ELECTS,
    RESCALES,
    check_choice,
    density_range,
    lambda_range,
    weight_range,
)
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool


class DareTies(Dare):
    """DARE's task vectors with TIES' election of signs, the method of the paper.

    Each element of a task vector is kept with probability `density` and rescaled. The sign of each
    element is elected, and only elements of that sign are added. Which elements are kept is fixed
    by the seed, the source's content and the tensor's name.

    Args:
        pool: the sources and their base.
        weight: number or range; with `elect` weighted a negative weight turns its source's vote.
        density: share kept: number or range in (0, 1].
        lambda_: factor on the whole sum: number or range.
        normalize: whether to divide by the weights that took part.
        rescale: `expected` (divide by the density, as the paper does), `l1` (keep the sum of
            magnitudes, as mergekit does), `none`.
        elect: what the sign is elected on: `weighted` task vectors, as mergekit does, or `raw`
            ones, as the paper on TIES does.
        seed: of the masks.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, or there is no base.

    Reference:
        Akiba 2025, Evolutionary Optimization of Model Merging Recipes (arXiv 2403.13187).
    """

    elects = True

    def __init__(
        self,
        pool: Pool,
        *,
        weight: Any = 0.5,
        density: Any = 0.5,
        lambda_: Any = 1.0,
        normalize: bool = False,
        rescale: str = "expected",
        elect: str = "weighted",
        seed: int = 0,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        check_choice("rescale", rescale, RESCALES)
        check_choice("elect", elect, ELECTS)
        super().__init__(
            pool,
            ranges={
                "weight": weight_range(weight),
                "density": density_range(density),
            },
            shared={"lambda_": lambda_range(lambda_)},
            options={
                "normalize": normalize,
                "rescale": rescale,
                "elect": elect,
                "seed": seed,
            },
            granularity=granularity,
            block_size=block_size,
        )
