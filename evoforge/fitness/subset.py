"""Subset fitness: a generation answers a share of the items, the next generation another."""

from collections.abc import Sequence

import numpy as np

from evoforge.errors import ConfigError
from evoforge.fitness.base import Fitness
from evoforge.task.base import Item


class Subset(Fitness):
    """`size` items, common to a generation and rotated between generations.

    The items are shuffled and dealt out until too few are left for a generation, then shuffled
    anew. Common items are worth a doubling of the budget; rotation keeps the search from learning
    them by heart.

    Args:
        items: the search part of the task.
        size: items for a generation, at most all.
        seed: of the shuffling.

    Raises:
        ConfigError: `size` makes no sense.
    """

    def __init__(self, items: Sequence[Item], *, size: int = 128, seed: int = 0) -> None:
        super().__init__(items)
        if not 1 <= size <= len(self.all):
            raise ConfigError(
                f"size must be in [1, {len(self.all)}], the number of search items, got {size}; "
                "set fitness.size or task.items"
            )
        self.size = size
        self._seed = seed

    def items(self, generation: int) -> tuple[Item, ...]:
        """Return the items of a generation, in the order of the task."""
        deals = len(self.all) // self.size
        shuffle = np.random.default_rng([self._seed, generation // deals])
        order = shuffle.permutation(len(self.all))
        start = generation % deals * self.size
        return tuple(self.all[i] for i in sorted(order[start : start + self.size]))
