"""What was asked and is not told yet, by number: optimizers may be asked ahead of what is told."""

from collections.abc import Iterable
from typing import Generic, TypeVar

import numpy as np

from evoforge.optimizer._genes import Numbers
from evoforge.optimizer.base import Details

Memory = TypeVar("Memory")


class Open(Generic[Memory]):
    """Remembers something of each genome from when it is asked until it is told.

    Attributes:
        asked: how many genomes were asked so far: the number of the next.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._memories: dict[int, Memory] = {}

    def ask(self, memories: Iterable[Memory]) -> None:
        """Take note of genomes that are asked now, in order."""
        for memory in memories:
            self._memories[self.asked] = memory
            self.asked += 1

    def tell(self, size: int, details: Details) -> tuple[Numbers, list[Memory]]:
        """Return who is told, and forget them: their numbers, (size,), and what was remembered.

        Args:
            size: how many are told.
            details: that say who; if they do not, it is those that were asked first.
        """
        numbers = details.numbers or tuple(self._memories)[:size]
        return np.array(numbers, dtype=np.intp), [self._memories.pop(number) for number in numbers]

    @property
    def memories(self) -> list[Memory]:
        """What is remembered of those that are not told yet, in the order asked."""
        return list(self._memories.values())
