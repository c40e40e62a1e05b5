"""DELLA without election: drop at random, small changes more often, rescale, add."""

from typing import Any

from evoforge.merge._della import Magprune
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


class DellaLinear(Magprune):
    """Task arithmetic on task vectors thinned out at random, the smallest changes most.

    Within each row of a tensor an element's probability to be kept rises with the rank of its
    magnitude, from density - epsilon to density + epsilon. Which are kept is fixed by the seed, the
    source's content and the tensor's name; then theta = base + lambda sum_m w_m delta_m.

    Args:
        pool: the sources and their base.
        weight: number or range; any sign.
        density: share kept: number or range in (0, 1].
        epsilon: how far the probability goes below and above the density: number or range in
            [0, 1); less where the density is nearer than that to 0 or 1.
        lambda_: factor on the whole sum: number or range.
        normalize: whether to divide by the sum of the weights.
        rescale: `expected` (divide each element by its probability, as the paper does), `l1` (keep
            the sum of magnitudes, as mergekit does), `none`.
        seed: of the masks.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, or there is no base.

    Reference:
        Deep 2024, DELLA-Merging (arXiv 2406.11617).
    """

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
        seed: int = 0,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        check_choice("rescale", rescale, RESCALES)
        super().__init__(
            pool,
            ranges={
                "weight": weight_range(weight),
                "density": density_range(density),
                "epsilon": Range.parse("epsilon", epsilon, low=0, high=0.999),
            },
            shared={"lambda_": lambda_range(lambda_)},
            options={"normalize": normalize, "rescale": rescale, "seed": seed},
            granularity=granularity,
            block_size=block_size,
        )
