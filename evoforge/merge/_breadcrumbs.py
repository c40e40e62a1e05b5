"""What the Breadcrumbs methods share: the largest and the smallest changes are dropped."""

from typing import Any

import torch

from evoforge.merge._magnitudes import EPSILON, Ranks
from evoforge.merge._masks import as_float
from evoforge.merge._part import Numbers, Part, Whole
from evoforge.merge._task_vectors import TaskVectors


class Masked(TaskVectors):
    """Task vectors without their largest magnitudes, which are outliers, and their smallest.

    Of n elements the floor(gamma n) largest are dropped, of the others the floor(density n) largest
    are kept.

    Reference:
        Davari 2023, Model Breadcrumbs (arXiv 2312.06795), section 3.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._ranks = Ranks()

    def dropping(self, whole: Whole) -> Numbers:
        """Return the smallest and the largest magnitude of each task vector that are kept."""
        pairs = [self._bounds(whole, index) for index in range(len(whole.tensors))]
        return {
            "least": torch.tensor([least for least, _ in pairs]),
            "most": torch.tensor([most for _, most in pairs]),
        }

    def _bounds(self, whole: Whole, index: int) -> tuple[float, float]:
        size = whole.tensors[index].numel()
        kept = int(whole.values[index]["density"] * size + EPSILON)
        dropped = min(int(whole.values[index]["gamma"] * size + EPSILON), size)
        kept = min(kept, size - dropped)
        if kept == 0:
            return float("inf"), float("inf")
        if kept == size:
            return 0.0, float("inf")
        least, most = dropped + kept, dropped + 1
        return self._ranks.largest(whole, index, least), self._ranks.largest(whole, index, most)

    def keep(self, part: Part, index: int) -> torch.Tensor:
        """Return a task vector with its largest and smallest elements set to 0."""
        delta = part.delta(index)
        size = delta.abs()
        least = as_float(torch.ge, size, part["least"][index])
        return delta * (least * as_float(torch.le, size, part["most"][index]))
