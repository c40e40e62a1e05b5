"""Model Stock: how far to go from the base to the mean, told by the angle between task vectors."""

from typing import Any

import numpy as np

from evoforge.merge._sphere import Gram, Shares, Spherical
from evoforge.merge._task_vectors import check_choice, lambda_range
from evoforge.merge.base import Whole
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool

ALONGS = ("tensor", "row")
# A product of two lengths, and a denominator, below which there is nothing to go by.
NOTHING = 1e-6


class ModelStock(Spherical):
    """The base plus a share of the mean task vector.

    theta = base + lambda t mean_m delta_m with t = N cos / (1 + (N - 1) cos), where cos is the mean
    cosine of the angles between any two task vectors: the less they agree, the nearer to the base.

    Args:
        pool: the sources, two at least, and their base.
        lambda_: factor on the share: number or range.
        along: what one vector is: `tensor`, or `row` (filter-wise).
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, there is no base, or one source only.

    Reference:
        Jang 2024, Model Stock (arXiv 2403.19522), Eq. 2 and 5.
    """

    least = 2

    def __init__(
        self,
        pool: Pool,
        *,
        lambda_: Any = 1.0,
        along: str = "tensor",
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        check_choice("along", along, ALONGS)
        self.along = along
        super().__init__(
            pool,
            ranges={},
            shared={"lambda_": lambda_range(lambda_)},
            options={"along": along},
            granularity=granularity,
            block_size=block_size,
        )

    def shares(self, whole: Whole, gram: Gram) -> Shares:
        """Return the share of each task vector: the same for all."""
        count = len(whole.tensors)
        lengths = np.sqrt(np.maximum(np.einsum("ii...->i...", gram), 0.0))
        cosines = [
            gram[i, j] / np.maximum(lengths[i] * lengths[j], NOTHING)
            for i in range(count)
            for j in range(i)
        ]
        cosine = np.mean(cosines, axis=0)
        below = 1 + (count - 1) * cosine
        ratio = np.where(np.abs(below) < NOTHING, 0.0, count * cosine / np.where(below, below, 1.0))
        return np.stack([ratio / count] * count)
