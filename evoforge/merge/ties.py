"""TIES: trim each task vector, elect a sign for each element, add what agrees."""

from typing import Any

import torch

from evoforge.merge._magnitudes import Ranks
from evoforge.merge._masks import as_float
from evoforge.merge._task_vectors import (
    ELECTS,
    RESCALES,
    TaskVectors,
    check_choice,
    density_range,
    lambda_range,
    weight_range,
)
from evoforge.merge.base import Numbers, Part, Whole
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool


class Ties(TaskVectors):
    """Trim, elect sign, merge.

    Of each task vector the `density` share of largest magnitudes is kept, tensor by tensor, and
    all that equal the smallest of them. The sign of each element is that of the weighted sum, and
    only elements of that sign are added: theta = base + lambda sum of w_m delta_m. `normalize`
    divides each element by the weights that took part; it is off, because then weights above 1 in
    sum can amplify, which is where good merges are found.

    Args:
        pool: the sources and their base.
        weight: number or range; with `elect` weighted a negative weight turns its source's vote.
        density: share kept: number or range in (0, 1].
        lambda_: factor on the whole sum: number or range.
        normalize: whether to divide by the weights that took part.
        rescale: of what was kept: `none`, `l1` (keep the sum of magnitudes), `expected` (divide
            by the density).
        elect: what the sign is elected on: `weighted` task vectors, as mergekit does, or `raw`
            ones, as the paper does.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, or there is no base.

    Reference:
        Yadav 2023, TIES-Merging (arXiv 2306.01708).
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
        rescale: str = "none",
        elect: str = "weighted",
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
            options={"normalize": normalize, "rescale": rescale, "elect": elect},
            granularity=granularity,
            block_size=block_size,
        )
        self._ranks = Ranks()

    def dropping(self, whole: Whole) -> Numbers:
        """Return the smallest magnitude of each task vector that is kept."""
        densities = whole.column("density")
        found = [self._ranks.threshold(whole, i, d) for i, d in enumerate(densities)]
        return {"least": torch.tensor(found)}

    def keep(self, part: Part, index: int) -> torch.Tensor:
        """Return a task vector with all but its largest elements set to 0."""
        delta = part.delta(index)
        return delta * as_float(torch.ge, delta.abs(), part["least"][index])
