"""Full fitness: every candidate answers every search item."""

from evoforge.fitness.base import Course, Fitness, once


class Full(Fitness):
    """All items, every generation: what the paper's weight-space search does.

    Args:
        items: the search part of the task.
    """

    steady = True

    def course(self, generation: int, population: int) -> Course:
        """Return one round of all items."""
        del generation  # the same for all
        return once(self.all, population)
