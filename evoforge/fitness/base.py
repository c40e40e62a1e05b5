"""What every fitness policy decides: who answers which items, and what fitness comes of it.

A policy knows items and evaluations; it does not know candidates, models or tasks.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np

from evoforge.fitness._deal import Deal as Deal
from evoforge.record import Evaluation
from evoforge.space import Genome
from evoforge.task.base import Item


@dataclass(frozen=True)
class Round:
    """What candidates of a generation are judged on next.

    Args:
        items: by the position of each candidate that takes part, all items that it is judged on
            now, in the order of the task. What it answered before is not asked again.
        proxy: whether the task's cheaper proxy is asked instead of the task.
        last: whether there is no round after this one, so that results may be reported as they
            come, and the course is sent evaluations without the results of each item.
    """

    items: Mapping[int, tuple[Item, ...]]
    proxy: bool = False
    last: bool = False


# Yields rounds, is sent the evaluations of each by position, and returns the fitness of the
# generation: (population,), higher is better, -inf for a failure. A function of what it is sent,
# so that a run that goes on after a crash spends nothing twice.
Course: TypeAlias = Generator[Round, Mapping[int, Evaluation], Genome]


class Fitness(ABC):
    """A way to spend items on a generation.

    Candidates that answer the same number of items answer the same items.

    Args:
        items: the search part of the task.

    Attributes:
        steady: whether each candidate can be judged without the others of its generation: there is
            one round of common items, and the fitness is that of the evaluations.
    """

    steady: ClassVar[bool] = False

    def __init__(self, items: Sequence[Item]) -> None:
        self.all = tuple(items)

    @property
    def uses_proxy(self) -> bool:
        """Whether some rounds ask the task's proxy."""
        return False

    @abstractmethod
    def course(self, generation: int, population: int) -> Course:
        """Return the rounds of a generation.

        Args:
            generation: counted from 0.
            population: number of candidates.
        """


def once(items: tuple[Item, ...], population: int) -> Course:
    """Return a course of one round, in which all candidates answer the same items."""
    found = yield Round(dict.fromkeys(range(population), items), last=True)
    return np.array([found[position].fitness for position in range(population)])
