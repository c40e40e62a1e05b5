"""DARE: drop elements of each task vector at random, rescale the rest, add."""

from typing import Any

import torch

from evoforge.merge._task_vectors import add, random_mask, rescaling
from evoforge.merge.base import Part, TensorMerger, check_rescale
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range


class DareLinear(TensorMerger):
    """Task arithmetic on task vectors thinned out at random.

    Each element of a task vector is kept with probability `density` and rescaled; then
    theta = base + lambda sum_m w_m delta_m. Which elements are kept is fixed by the seed, the
    source's content and the tensor's name.

    Args:
        pool: the sources and their base.
        weight: number or range; any sign.
        density: share kept: number or range in (0, 1].
        lambda_: factor on the whole sum.
        normalize: whether to divide by the sum of the weights.
        rescale: `expected` (divide by the density, as the paper does), `l1` (keep the sum of
            magnitudes, as mergekit does), `none`.
        seed: of the masks.
        granularity: `whole`, `block`, `layer` or `module`.
        block_size: layers to a group for `block`.

    Raises:
        ConfigError: an option makes no sense, or there is no base.

    Reference:
        Yu 2024, Language Models are Super Mario (arXiv 2311.03099).
    """

    elect = False

    def __init__(
        self,
        pool: Pool,
        *,
        weight: Any = 0.5,
        density: Any = 0.5,
        lambda_: float = 1.0,
        normalize: bool = False,
        rescale: str = "expected",
        seed: int = 0,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        check_rescale(rescale)
        super().__init__(
            pool,
            ranges={
                "weight": Range.parse("weight", weight, low=-10, high=10),
                "density": Range.parse("density", density, low=0, high=1, open_low=True),
            },
            options={
                "lambda_": lambda_,
                "normalize": normalize,
                "rescale": rescale,
                "seed": seed,
            },
            granularity=granularity,
            block_size=block_size,
        )

    def merge(self, part: Part) -> torch.Tensor:
        """Return one tensor of thinned task vectors."""
        kept = [self._thinned(part, i) for i in range(len(part.tensors))]
        return add(
            part.anchor,
            [sparse for sparse, _ in kept],
            part.column("weight"),
            [factor for _, factor in kept],
            elect=self.elect,
            normalize=self.options["normalize"],
            lambda_=self.options["lambda_"],
        )

    def _thinned(self, part: Part, index: int) -> tuple[torch.Tensor, float]:
        """Return what is left of a task vector, and the factor that makes up for the rest."""
        delta, density = part.delta(index), part.values[index]["density"]
        key = f"{self.options['seed']}/{self.pool.hash(part.sources[index])}/{part.name}"
        sparse = delta * random_mask(key, delta.shape, density, delta.device)
        return sparse, rescaling(sparse, delta, density, self.options["rescale"])
