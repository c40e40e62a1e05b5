"""Multi-SLERP: the weighted mean direction of any number of models, at their mean length."""

from typing import Any

import numpy as np

from evoforge.errors import MergeError
from evoforge.merge._sphere import EPSILON, Gram, Shares, Spherical, mean_direction, normalized
from evoforge.merge.base import Whole
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range


class Multislerp(Spherical):
    """Barycentric interpolation on the sphere.

    With u_m = x_m / |x_m| and weights that sum to 1, theta = (sum_m w_m |x_m|) mu / |mu|, where
    mu = sum_m w_m u_m. (The step from mu along its tangent plane that the method is often written
    with is nothing: the tangents at the weighted mean sum to 0.)

    Args:
        pool: the sources.
        weight: number or range, 0 or more; all are divided by their sum.
        task_vectors: whether to interpolate what fine-tuning changed and add it to the base.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, or no base where one is needed.

    Reference:
        Goddard 2024, Arcee's MergeKit (arXiv 2403.13257); the method is mergekit's own.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        weight: Any = 0.5,
        task_vectors: bool = False,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        self.needs_base = task_vectors
        super().__init__(
            pool,
            ranges={"weight": Range.parse("weight", weight, low=0, high=10)},
            options={"task_vectors": task_vectors},
            granularity=granularity,
            block_size=block_size,
        )

    def shares(self, whole: Whole, gram: Gram) -> Shares:
        """Return the shares of the mean direction at the mean length."""
        weights = normalized(whole.column("weight"))
        lengths = np.sqrt(np.diagonal(gram))
        mean, size = mean_direction(gram, weights)
        if size > EPSILON:
            shares: Shares = mean * float(weights @ lengths) / size
            return shares
        if len(weights) > 2 and lengths.any():
            raise MergeError(
                f"the sources' directions in {whole.name} cancel each other, so there is none "
                "between them; set merge.weight"
            )
        return weights
