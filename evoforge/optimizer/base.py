"""What every optimizer is: ask and tell in the unit cube, with its own random generator.

Optimizers see vectors, never models.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from evoforge.space import Genome, Param, Space

Genomes = NDArray[np.float64]


class Optimizer(ABC):
    """A search that only asks and is told. The same seed asks the same, whatever else runs.

    Args:
        space: what is searched.
        population: genomes asked at a time.
    """

    def __init__(self, space: Space, population: int) -> None:
        self.space = space
        self.population = population

    @abstractmethod
    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim) float64 in [0, 1]."""

    @abstractmethod
    def tell(self, genomes: Genomes, fitness: Genome) -> None:
        """Say how good the genomes asked last are.

        Args:
            genomes: (population, dim), as asked.
            fitness: (population,), higher is better; -inf for a failure, at least one finite.
        """

    def recommend(self) -> Genome | None:
        """Return the genome the search believes in beside those it asked, if there is one."""
        return None


def finite(fitness: Genome) -> Genome:
    """Return fitness with failures a little worse than the worst success.

    Raises:
        ValueError: all failed.
    """
    fine = fitness[np.isfinite(fitness)]
    if not len(fine):
        raise ValueError("every candidate failed; there is nothing to learn from")
    spread = float(fine.max() - fine.min())
    return np.where(np.isfinite(fitness), fitness, fine.min() - max(spread, 1e-3))


def counts(space: Space) -> Genome:
    """Return how many values each gene can stand for: (dim,), 1 for those of a whole range."""
    return np.array([_count(param) for param in space.params], dtype=np.float64)


def _count(param: Param) -> int:
    discrete = param.kind in ("integer", "choice", "binary")
    return round(param.high - param.low) + 1 if discrete else 1
