"""What every fitness policy decides: which items judge a generation.

A policy knows items; it does not know candidates.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from evoforge.task.base import Item


class Fitness(ABC):
    """A way to spend items on a generation. All candidates of a generation share its items.

    Args:
        items: the search part of the task.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self.all = tuple(items)

    @abstractmethod
    def items(self, generation: int) -> tuple[Item, ...]:
        """Return the items of a generation, counted from 0."""
