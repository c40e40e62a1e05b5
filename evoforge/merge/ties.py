"""TIES: trim each task vector, elect a sign for each element, add what agrees."""

from typing import Any

import torch

from evoforge.merge._task_vectors import Magnitudes, add, keep_largest, rescaling
from evoforge.merge.base import Part, TensorMerger, check_rescale
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range


class Ties(TensorMerger):
    """Trim, elect sign, merge.

    Of each task vector the `density` share of largest magnitudes is kept, tensor by tensor. The
    sign of each element is that of the weighted sum, and only elements of that sign are added:
    theta = base + lambda sum of w_m delta_m. `normalize` divides each element by the weights that
    took part; it is off, because then weights above 1 in sum can amplify, which is where good
    merges are found.

    Args:
        pool: the sources and their base.
        weight: number or range; a negative weight turns its source's vote.
        density: share kept: number or range in (0, 1].
        lambda_: factor on the whole sum.
        normalize: whether to divide by the weights that took part.
        rescale: of what was kept: `none`, `l1` (keep the sum of magnitudes), `expected` (divide
            by the density).
        granularity: `whole`, `block`, `layer` or `module`.
        block_size: layers to a group for `block`.

    Raises:
        ConfigError: an option makes no sense, or there is no base.

    Reference:
        Yadav 2023, TIES-Merging (arXiv 2306.01708).
    """

    def __init__(
        self,
        pool: Pool,
        *,
        weight: Any = 0.5,
        density: Any = 0.5,
        lambda_: float = 1.0,
        normalize: bool = False,
        rescale: str = "none",
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
            options={"lambda_": lambda_, "normalize": normalize, "rescale": rescale},
            granularity=granularity,
            block_size=block_size,
        )
        self._magnitudes: dict[tuple[str, str], Magnitudes] = {}

    def merge(self, part: Part) -> torch.Tensor:
        """Return one tensor of trimmed task vectors that agree in sign."""
        kept = [self._trimmed(part, i) for i in range(len(part.tensors))]
        return add(
            part.anchor,
            [sparse for sparse, _ in kept],
            part.column("weight"),
            [factor for _, factor in kept],
            elect=True,
            normalize=self.options["normalize"],
            lambda_=self.options["lambda_"],
        )

    def _trimmed(self, part: Part, index: int) -> tuple[torch.Tensor, float]:
        """Return what is left of a task vector, and the factor that makes up for the rest."""
        delta, density = part.delta(index), part.values[index]["density"]
        key = (part.sources[index], part.name)
        if key not in self._magnitudes:
            self._magnitudes[key] = Magnitudes(delta)
        sparse = keep_largest(delta, density, self._magnitudes[key])
        return sparse, rescaling(sparse, delta, density, self.options["rescale"])
