"""Full fitness: every candidate answers every search item."""

from evoforge.fitness.base import Fitness
from evoforge.task.base import Item


class Full(Fitness):
    """All items, every generation: what the paper's weight-space search does.

    Args:
        items: the search part of the task.
    """

    def items(self, generation: int) -> tuple[Item, ...]:
        """Return all items."""
        del generation  # the same for all
        return self.all
