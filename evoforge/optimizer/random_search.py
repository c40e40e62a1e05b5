"""Random search: what any other search must beat."""

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer.base import NOTHING, Details, Genomes, Optimizer, Origin
from evoforge.space import Genome, Space


class RandomSearch(Optimizer):
    """Uniform draws from the unit cube, after the starts that are given.

    Args:
        space: what is searched.
        population: genomes asked at a time.
        seed: of the random generator.

    Raises:
        ConfigError: an option makes no sense.

    Reference:
        Bergstra 2012, Random Search for Hyper-Parameter Optimization (JMLR 13).
    """

    steady = True

    def __init__(self, space: Space, *, population: int = 10, seed: int = 0) -> None:
        if population < 1:
            raise ConfigError(
                f"population must be at least 1, got {population}; set optimizer.population"
            )
        super().__init__(space, population)
        self._generator = np.random.default_rng(seed)
        self._given = space.given

    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim) float64 in [0, 1]."""
        genomes = self._generator.random((self.population, self.space.dim))
        given, self._given = np.split(self._given, [self.population])
        genomes[: len(given)] = given
        drawn = self.population - len(given)
        self.origins = (Origin("start"),) * len(given) + (Origin("random"),) * drawn
        return genomes

    def tell(self, genomes: Genomes, fitness: Genome, details: Details = NOTHING) -> None:
        """Learn nothing."""
        del genomes, fitness, details
