"""What DARE's methods share: task vectors thinned out at random."""

import torch

from evoforge.merge._masks import kept
from evoforge.merge._part import Numbers, Part, Whole
from evoforge.merge._task_vectors import TaskVectors


class Dare(TaskVectors):
    """Task vectors of which each element is kept with probability `density`.

    Reference:
        Yu 2024, Language Models are Super Mario (arXiv 2311.03099), section 3.
    """

    def dropping(self, whole: Whole) -> Numbers:
        """Return what the masks are hashed from."""
        return self.mask_numbers(whole, whole.column("density"))

    def keep(self, part: Part, index: int) -> torch.Tensor:
        """Return a task vector with elements set to 0 at random."""
        return part.delta(index) * kept(part, index)
