"""CMA-ES: a Gaussian whose mean and covariance follow the better half of each generation."""

import math
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer.base import Genomes, Optimizer, finite
from evoforge.space import Genome, Space

# Accuracy is a step function: ties and plateaus are no reason to give up.
PATIENT = {"tolfun": 0, "tolfunhist": 0, "tolflatfitness": 10**9, "tolstagnation": 10**9, "tolx": 0}


class CmaEs(Optimizer):
    """CMA-ES with pycma, started at the space's start.

    The defaults are the paper's: sigma 1/6 of each range and 4 + floor(3 ln n) genomes for n
    genes.

    Args:
        space: what is searched.
        population: genomes asked at a time; None for 4 + floor(3 ln n).
        sigma: first standard deviation, as a share of every parameter's range.
        seed: of the random generator.

    Raises:
        ConfigError: an option makes no sense.

    Reference:
        Hansen 2016, The CMA Evolution Strategy: A Tutorial (arXiv 1604.00772).
    """

    def __init__(
        self,
        space: Space,
        *,
        population: int | None = None,
        sigma: float = 1 / 6,
        seed: int = 0,
    ) -> None:
        if population is not None and population < 3:
            raise ConfigError(
                f"population must be at least 3, got {population}; set optimizer.population"
            )
        if not 0 < sigma <= 1:
            raise ConfigError(f"sigma must be in (0, 1], got {sigma}; set optimizer.sigma")
        super().__init__(space, population or 4 + math.floor(3 * math.log(space.dim)))
        # pycma does not search along one axis alone: a second one that means nothing goes along.
        self._spare = 1 if space.dim == 1 else 0
        self._search = self._start(sigma, seed)

    def _start(self, sigma: float, seed: int) -> Any:
        import cma

        start = np.concatenate([self.space.init, np.full(self._spare, 0.5)])
        options = {
            **PATIENT,
            "bounds": [0, 1],
            "popsize": self.population,
            "randn": _Normal(seed),
            "seed": float("nan"),
            "verbose": -9,
            "maxiter": 10**9,
        }
        return cma.CMAEvolutionStrategy(start, sigma, options)

    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim) float64 in [0, 1]."""
        self._asked = self._search.ask()
        genomes: Genomes = np.array(self._asked)[:, : self.space.dim]
        # pycma's bounds hold up to rounding.
        return np.clip(genomes, 0.0, 1.0)

    def tell(self, genomes: Genomes, fitness: Genome) -> None:
        """Say how good the genomes asked last are; see `Optimizer.tell`."""
        del genomes  # pycma wants its own vectors back, not copies
        self._search.tell(self._asked, list(-finite(fitness)))

    def recommend(self) -> Genome | None:
        """Return the mean of the distribution: under noise better than any one genome."""
        mean: Genome = np.array(self._search.result.xfavorite)[: self.space.dim]
        return np.clip(mean, 0.0, 1.0)


class _Normal:
    """Standard normal numbers from a generator that nobody else draws from or seeds."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> Any:
        return self._generator.standard_normal(shape)
