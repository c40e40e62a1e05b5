"""CMA-ES: a Gaussian whose mean and covariance follow the better half of each generation.

Knows which genes stand for a few values only; does not know for what.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import NormalDist
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer.base import NOTHING, Details, Genomes, Optimizer, counts, finite
from evoforge.space import Genome, Space

# Accuracy is a step function: ties and plateaus are no reason to give up.
PATIENT = {"tolfun": 0, "tolfunhist": 0, "tolflatfitness": 10**9, "tolstagnation": 10**9, "tolx": 0}

COVARIANCES = ("auto", "full", "diagonal")
# A full matrix of 500 genes is learned in thousands of evaluations; of 4,288 it takes 147 MB.
FULL_UP_TO = 500

# A hundredth of the last decimal of a parameter: below it pycma only loses precision.
FINEST = 1e-8
# Of a gene with few values, in steps between them: pycma's own bound for small spaces.
COARSEST = 0.2


class CmaEs(Optimizer):
    """CMA-ES with pycma, started at the space's start.

    The defaults are the paper's: sigma 1/6 of each range and 4 + floor(3 ln n) genomes for n
    genes. Binary, integer and choice genes are integer variables to pycma: it asks for the middle
    of a value's share of [0, 1], and their spread never falls so low that other values die out.

    Args:
        space: what is searched.
        population: genomes asked at a time; None for 4 + floor(3 ln n).
        sigma: first standard deviation, as a share of every parameter's range.
        covariance: `full`, `diagonal` (linear in time and memory), or `auto`: diagonal above 500
            genes.
        integers: whether pycma is told which genes are binary, integer or choice; if not they
            are numbers that happen to fall on one side of a threshold.
        seed: of the random generator.

    Raises:
        ConfigError: an option makes no sense.

    Reference:
        Hansen 2016, The CMA Evolution Strategy: A Tutorial (arXiv 1604.00772); Ros 2008, A Simple
        Modification in CMA-ES Achieving Linear Time and Space Complexity (PPSN X), the diagonal;
        Marty 2024, LB+IC-CMA-ES: Two Simple Modifications of CMA-ES to Handle Mixed-Integer
        Problems (PPSN XVIII), the integers.
    """

    def __init__(
        self,
        space: Space,
        *,
        population: int | None = None,
        sigma: float = 1 / 6,
        covariance: str = "auto",
        integers: bool = True,
        seed: int = 0,
    ) -> None:
        if population is not None and population < 3:
            raise ConfigError(
                f"population must be at least 3, got {population}; set optimizer.population"
            )
        if not 0 < sigma <= 1:
            raise ConfigError(f"sigma must be in (0, 1], got {sigma}; set optimizer.sigma")
        if covariance not in COVARIANCES:
            raise ConfigError(
                f"covariance must be one of {', '.join(COVARIANCES)}, got {covariance}; "
                "set optimizer.covariance"
            )
        if not isinstance(integers, bool):
            raise ConfigError(
                f"integers must be true or false, got {integers!r}; set optimizer.integers"
            )
        super().__init__(space, population or 4 + math.floor(3 * math.log(space.dim)))
        # pycma does not search along one axis alone: a second one that means nothing goes along.
        self._spare = np.ones(1 if space.dim == 1 else 0)
        self._counts = np.append(counts(space) if integers else np.ones(space.dim), self._spare)
        # pycma rounds to whole numbers: n values lie at 0 ... n - 1, in [-0.5, n - 0.5].
        self._shift = np.where(self._counts > 1, 0.5, 0.0)
        self._dice = np.random.RandomState(np.random.SeedSequence(seed).generate_state(4))
        large = space.dim > FULL_UP_TO
        self._search = self._start(
            sigma, seed, covariance == "diagonal" or (covariance == "auto" and large)
        )

    def _start(self, sigma: float, seed: int, diagonal: bool) -> Any:
        import cma

        start = np.append(self.space.init, self._spare / 2) * self._counts - self._shift
        options: dict[str, Any] = {
            **PATIENT,
            "bounds": [0, 1],
            "popsize": self.population,
            "randn": _Normal(seed),
            "seed": float("nan"),
            "verbose": -9,
            "maxiter": 10**9,
        }
        whole = np.flatnonzero(self._counts > 1)
        if diagonal:
            options["CMA_diagonal"] = True
        if diagonal or len(whole):
            options["minstd"] = np.where(self._counts > 1, self._least_spread(), FINEST)
        if len(whole):
            options |= {
                "bounds": [(-self._shift).tolist(), (self._counts - self._shift).tolist()],
                "CMA_stds": self._counts,
                "integer_variables": whole.tolist(),
            }
        return cma.CMAEvolutionStrategy(start, sigma, options)

    def _least_spread(self) -> float:
        """Return the least standard deviation of a gene with few values, in steps between them.

        From the middle of its value it reaches the next, half a step away, with a chance of
        1 / (genes x population), the margin of Hamano 2022. pycma's own bound falls with the
        genes until none ever changes: 0.008 for 4,288 genes, 62 standard deviations from there.
        """
        chance = 1 / (self.space.dim * self.population)
        return min(COARSEST, -0.5 / NormalDist().inv_cdf(chance))

    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim) float64 in [0, 1]."""
        self._asked = self._search.ask()
        return self._genes(np.array(self._asked))

    def tell(self, genomes: Genomes, fitness: Genome, details: Details = NOTHING) -> None:
        """Say how good the genomes asked last are; see `Optimizer.tell`."""
        del genomes, details  # pycma wants its own vectors back, not copies
        with _as_global(self._dice):
            self._search.tell(self._asked, list(-finite(fitness)))

    def recommend(self) -> Genomes:
        """Return the mean of the distribution: under noise better than any one genome."""
        return self._genes(np.array([self._search.result.xfavorite]))

    def _genes(self, vectors: Genomes) -> Genomes:
        genes: Genomes = ((vectors + self._shift) / self._counts)[..., : self.space.dim]
        # pycma's bounds hold up to rounding.
        return np.clip(genes, 0.0, 1.0)


class _Normal:
    """Standard normal numbers from a generator that nobody else draws from or seeds."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> Any:
        return self._generator.standard_normal(shape)


@contextmanager
def _as_global(own: np.random.RandomState) -> Iterator[None]:
    """Lend numpy the state of our generator: pycma rounds integers with the global one."""
    before = np.random.get_state()
    np.random.set_state(own.get_state())
    try:
        yield
    finally:
        own.set_state(np.random.get_state())
        np.random.set_state(before)
