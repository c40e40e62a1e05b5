"""DARE: drop elements of each task vector at random, rescale the rest, add."""

from typing import Any

from evoforge.merge._dare import Dare
from evoforge.merge._task_vectors import (
    RESCALES,
    check_choice,
    density_range,
    lambda_range,
    weight_range,
)
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool


class DareLinear(Dare):
    """Task arithmetic on task vectors thinned out at random.

    Each element of a task vector is kept with probability `density` and rescaled; then
    theta = base + lambda sum_m w_m delta_m. Which elements are kept is fixed by the seed, the
    source's content and the tensor's name.

    Args:
        pool: the sources and their base.
        weight: number or range; any sign.
        density: share kept: number or range in (0, 1].
        lambda_: factor on the whole sum: number or range.
        normalize: whether to divide by the sum of the weights.
        rescale: `expected` (divide by the density, as the paper does), `l1` (keep the sum of
            magnitudes, as mergekit does), `none`.
        seed: of the masks.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, or there is no base.

    Reference:
        Yu 2024, Language Models are Super Mario (arXiv 2311.03099).
    """

    def __init__(
        self,
        pool: Pool,
        *,
        weight: Any = 0.5,
        density: Any = 0.5,
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
            },
            shared={"lambda_": lambda_range(lambda_)},
            options={"normalize": normalize, "rescale": rescale, "seed": seed},
            granularity=granularity,
            block_size=block_size,
        )
