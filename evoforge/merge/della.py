"""DELLA: drop at random, small changes more often, rescale, add where signs agree."""

from typing import Any

from evoforge.merge._della import Magprune
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
from evoforge.space import Range


class Della(Magprune):
    """Task vectors thinned out at random, the smallest changes most, with election of signs.

    Within each row of a tensor an element's probability to be kept rises with the rank of its
    magnitude, from density - epsilon to density + epsilon. Which are kept is fixed by the seed, the
    source's content and the tensor's name. The sign of each element is elected, and only elements
    of that sign are added.

    Args:
        pool: the sources and their base.
        weight: number or range; with `elect` weighted a negative weight turns its source's vote.
        density: share kept: number or range in (0, 1].
        epsilon: how far the probability goes below and above the density: number or range in
            [0, 1); less where the density is nearer than that to 0 or 1.
        lambda_: factor on the whole sum: number or range.
        normalize: whether to divide by the weights that took part.
        rescale: `expected` (divide each element by its probability, as the paper does), `l1` (keep
            the sum of magnitudes, as mergekit does), `none`.
        elect: what the sign is elected on: `weighted` task vectors, as mergekit does, or `raw`
            ones, as the paper on TIES does.
        seed: of the masks.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, or there is no base.

    Reference:
        Deep 2024, DELLA-Merging (arXiv 2406.11617).
    """

    elects = True

    def __init__(
        self,
        pool: Pool,
        *,
        weight: Any = 0.5,
        density: Any = 0.5,
        epsilon: Any = 0.15,
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
                "epsilon": Range.parse("epsilon", epsilon, low=0, high=0.999),
            },
            shared={"lambda_": lambda_range(lambda_)},
            options={"normalize": normalize, "rescale": rescale, "elect": elect, "seed": seed},
            granularity=granularity,
            block_size=block_size,
        )
