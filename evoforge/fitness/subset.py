"""Subset fitness: a generation answers a share of the items, the next generation another."""

from collections.abc import Sequence

from evoforge.fitness._deal import Deal
from evoforge.fitness.base import Course, Fitness, once
from evoforge.task.base import Item


class Subset(Fitness):
    """`size` items, common to a generation and rotated between generations; see `Deal`.

    Args:
        items: the search part of the task.
        size: items for a generation; all if there are fewer.
        seed: of the shuffling.

    Raises:
        ConfigError: `size` makes no sense.
    """

    steady = True

    def __init__(self, items: Sequence[Item], *, size: int = 128, seed: int = 0) -> None:
        super().__init__(items)
        self.size = size
        self._deal = Deal(self.all, size, seed)

    def course(self, generation: int, population: int) -> Course:
        """Return one round of the generation's items."""
        items = self._deal.in_order(self._deal.hand(generation))
        return once(items, population)
