"""Sobol points: random search without its gaps and clusters."""

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer.base import NOTHING, Details, Genomes, Optimizer, Origin
from evoforge.space import Genome, Space

# As many dimensions as Joe and Kuo found directions for.
MOST_GENES = 21201


class Sobol(Optimizer):
    """Points of a scrambled Sobol sequence, which fill the unit cube evenly.

    Best where few genes matter: every interval of a gene, and most rectangles of two, gets its
    share of the points, after 2^k genomes exactly. Given starts come before them.

    Args:
        space: what is searched; at most 21,201 genes.
        population: genomes asked at a time.
        seed: of the scrambling.

    Raises:
        ConfigError: an option makes no sense, or the space is too large.

    Reference:
        Sobol 1967, On the Distribution of Points in a Cube (USSR Computational Mathematics 7);
        Joe 2008, Constructing Sobol Sequences with Better Two-Dimensional Projections (SIAM JSC
        30); Owen 1998, Scrambling Sobol and Niederreiter-Xing Points (Journal of Complexity 14).
    """

    steady = True

    def __init__(self, space: Space, *, population: int = 10, seed: int = 0) -> None:
        from scipy.stats import qmc

        if population < 1:
            raise ConfigError(
                f"population must be at least 1, got {population}; set optimizer.population"
            )
        if space.dim > MOST_GENES:
            raise ConfigError(
                f"a space for sobol must have at most {MOST_GENES} genes, got {space.dim}; "
                "set optimizer=random_search"
            )
        super().__init__(space, population)
        self._points = qmc.Sobol(space.dim, seed=np.random.default_rng(seed))
        # scipy warns of a first draw that is no power of two; later ones may be of any size.
        self._first = self._points.random(1)
        self._given = space.given

    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim) float64 in [0, 1]."""
        given, self._given = np.split(self._given, [self.population])
        missing = self.population - len(given)
        first, self._first = np.split(self._first, [missing])
        later = self._points.random(missing - len(first))
        self.origins = (Origin("start"),) * len(given) + (Origin("sobol"),) * missing
        return np.concatenate([given, first, later])

    def tell(self, genomes: Genomes, fitness: Genome, details: Details = NOTHING) -> None:
        """Learn nothing."""
        del genomes, fitness, details
