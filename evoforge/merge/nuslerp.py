"""NuSLERP: spherical interpolation by weights, of models or of task vectors."""

from typing import Any

from evoforge.merge._sphere import ALONGS, Gram, Shares, Spherical, arc, unit
from evoforge.merge._task_vectors import check_choice
from evoforge.merge.base import Whole
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range

# Weights that sum to less count alike.
NOTHING = 1e-6
# cos(theta) from which arc and chord are the same in float32.
PARALLEL = 1 - 1e-10


class Nuslerp(Spherical):
    """Slerp with a weight for each source, on whole tensors, on rows or on columns.

    slerp(a, b, t) with t = w_b / (w_a + w_b). With more sources the third is reached from the point
    between the first two with t = w_c / (w_a + w_b + w_c), and so on.

    Args:
        pool: the sources, two at least.
        weight: number or range, 0 or more.
        task_vectors: whether to interpolate what fine-tuning changed and add it to the base.
        along: what one vector is: `tensor`, `row` or `column`.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, there is one source only, or no base where one is
            needed.

    Reference:
        Goddard 2024, Arcee's MergeKit (arXiv 2403.13257); the method is mergekit's own.
    """

    least = 2

    def __init__(
        self,
        pool: Pool,
        *,
        weight: Any = 0.5,
        task_vectors: bool = False,
        along: str = "tensor",
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        check_choice("along", along, ALONGS)
        self.needs_base = task_vectors
        self.along = along
        super().__init__(
            pool,
            ranges={"weight": Range.parse("weight", weight, low=0, high=10)},
            options={"task_vectors": task_vectors, "along": along},
            granularity=granularity,
            block_size=block_size,
        )

    def shares(self, whole: Whole, gram: Gram) -> Shares:
        """Return the shares of the point that all steps lead to."""
        weights = whole.column("weight")
        far = unit(gram, 0)
        for i in range(1, len(weights)):
            summed = sum(weights[: i + 1])
            t = weights[i] / summed if summed >= NOTHING else 1 / (i + 1)
            far = arc(gram, far, unit(gram, i), t, PARALLEL)
        return far
