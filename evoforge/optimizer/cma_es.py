"""CMA-ES: a Gaussian whose mean and covariance follow the better half of each generation.

Knows which genes stand for a few values only; does not know for what.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer._open import Open
from evoforge.optimizer._restarts import RESTARTS, Progress, Regime, Restarts
from evoforge.optimizer.base import NOTHING, Details, Genomes, Optimizer, Origin, counts, finite
from evoforge.space import Genome, Space

COVARIANCES = ("auto", "full", "diagonal")
BOUNDS = ("transform", "penalty", "resample")
# A full matrix of 500 genes is learned in thousands of evaluations; of 4,288 it takes 147 MB.
FULL_UP_TO = 500
# Of the first sigma: numbers that all spread less have nothing left to find.
NARROW = 0.05


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A vector of pycma, and of which run and after how many tellings it is."""

    run: int
    tellings: int
    vector: Genome


class CmaEs(Optimizer):
    """CMA-ES with pycma, started at the space's start.

    The defaults are the paper's: sigma 1/6 of each range and 4 + floor(3 ln n) genomes for n
    genes. Binary, integer and choice genes are integer variables to pycma: it asks for the middle
    of a value's share of [0, 1], and their spread never falls so low that other values die out.
    Given starts are asked before anything is drawn; the first of them is the mean.

    A run that has converged, or has not got better for a while, may be followed by another one
    from a random place. The means at the end of all runs are recommended.

    In steady state genomes drawn before the last telling are learned from as if they were foreign,
    and what a run asked that is over is left out.

    Args:
        space: what is searched.
        population: genomes asked at a time; None for 4 + floor(3 ln n).
        sigma: first standard deviation, as a share of every parameter's range.
        covariance: `full`, `diagonal` (separable: linear in time and memory), or `auto`: diagonal
            above 500 genes.
        active: whether the worst genomes of a generation narrow the distribution where they lie.
        bounds: what becomes of draws outside [0, 1]: `transform` folds them back smoothly;
            `penalty` moves them to the bound and charges for the way; `resample` draws a genome
            again, 100 / n times at most.
        integers: whether pycma is told which genes are binary, integer or choice; if not they
            are numbers that happen to fall on one side of a threshold.
        restarts: `none`; `ipop`, each with twice the population; `bipop`, in turn with small
            populations.
        patience: generations without progress after which a run ends, at least 4; None for
            10 + ceil(30 n / population).
        seed: of the random generator.

    Raises:
        ConfigError: an option makes no sense.

    Reference:
        Hansen 2016, The CMA Evolution Strategy: A Tutorial (arXiv 1604.00772); Ros 2008, A Simple
        Modification in CMA-ES Achieving Linear Time and Space Complexity (PPSN X), the diagonal;
        Marty 2024, LB+IC-CMA-ES: Two Simple Modifications of CMA-ES to Handle Mixed-Integer
        Problems (PPSN XVIII), the integers; Hansen 2011, Injecting External Solutions Into CMA-ES
        (arXiv 1110.4181), the given starts; Hansen 2009, A Method for Handling Uncertainty in
        Evolutionary Optimization (IEEE TEC 13), the penalty. Restarts: see `_restarts`.
    """

    steady = True

    def __init__(
        self,
        space: Space,
        *,
        population: int | None = None,
        sigma: float = 1 / 6,
        covariance: str = "auto",
        active: bool = True,
        bounds: str = "transform",
        integers: bool = True,
        restarts: str = "none",
        patience: int | None = None,
        seed: int = 0,
    ) -> None:
        _check_numbers(population, sigma, patience)
        _check_choice("covariance", covariance, COVARIANCES)
        _check_choice("bounds", bounds, BOUNDS)
        _check_choice("restarts", restarts, RESTARTS)
        _check_switch("integers", integers)
        _check_switch("active", active)
        super().__init__(space, population or 4 + math.floor(3 * math.log(space.dim)))
        large = space.dim > FULL_UP_TO
        self._options: dict[str, Any] = {
            "diagonal": covariance == "diagonal" or (covariance == "auto" and large),
            "active": active,
            "bounds": bounds,
            "integers": integers,
        }
        self._numbers = counts(space) == 1 if integers else np.ones(space.dim, bool)
        self._sigma, self._patience, self._seed = sigma, patience, seed
        # Seeds of runs count from 1 after a restart; 0 is where restarts themselves are drawn from.
        self._places = np.random.default_rng([seed, 0, 1])
        self._plan = (
            None if restarts == "none" else Restarts(restarts, self.population, sigma, self._places)
        )
        self._waiting = space.given
        self._ended: list[Genome] = []
        self._open: Open[_Drawn] = Open()
        self._begin(space.init, Regime(self.population, sigma))

    def _begin(self, start: Genome, regime: Regime) -> None:
        from evoforge.optimizer._pycma import Run

        number = len(self._ended)
        self._regime, self._used = regime, 0
        self._tellings = 0
        # Told, but not enough yet to be learned from.
        self._inbox: list[tuple[_Drawn, float]] = []
        self.population = regime.population
        usual = 10 + math.ceil(30 * self.space.dim / regime.population)
        self._progress = Progress(self._patience or usual)
        self._run = Run(
            self.space,
            start,
            population=regime.population,
            sigma=regime.sigma,
            seed=[self._seed, number] if number else [self._seed],
            **self._options,
        )

    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim) float64 in [0, 1]."""
        given, self._waiting = np.split(self._waiting, [self.population])
        drawn = f"sample, restart {len(self._ended)}" if self._ended else "sample"
        names = ["start"] * len(given) + [drawn] * (self.population - len(given))
        self.origins = tuple(map(Origin, names))
        genomes, vectors = self._run.ask(given)
        self._open.ask(_Drawn(len(self._ended), self._tellings, vector) for vector in vectors)
        return genomes

    def tell(self, genomes: Genomes, fitness: Genome, details: Details = NOTHING) -> None:
        """Say how good genomes are; see `Optimizer.tell`."""
        del genomes  # pycma wants its own vectors back, not copies
        finite(fitness)  # refuses failures alone
        _, drawn = self._open.tell(len(fitness), details)
        # Genomes of a run that is over say nothing of the one that goes on.
        told = zip(drawn, fitness.tolist(), strict=True)
        self._inbox += [(one, value) for one, value in told if one.run == len(self._ended)]
        while len(self._inbox) >= self.population:
            batch, self._inbox = self._inbox[: self.population], self._inbox[self.population :]
            self._learn([one for one, _ in batch], np.array([value for _, value in batch]))

    def _learn(self, drawn: Sequence["_Drawn"], fitness: Genome) -> None:
        """Move the distribution, and begin anew where it gets no further."""
        if not np.isfinite(fitness).any():
            return  # of several tellings, what was left of each had failed
        stale = [place for place, one in enumerate(drawn) if one.tellings < self._tellings]
        self._run.tell([one.vector for one in drawn], fitness, stale)
        self._tellings += 1
        self._used += len(fitness)
        self._progress.see(float(np.median(finite(fitness))))
        if self._plan is not None and not len(self._waiting) and self._is_over:
            self._ended.append(self._run.mean)
            regime = self._plan.following(self._used)
            self._begin(self._places.random(self.space.dim), regime)

    @property
    def _is_over(self) -> bool:
        """Whether the run has used what it may, has converged, or gets no further."""
        limit = self._regime.evaluations
        spread = self._run.spread[self._numbers]
        narrow = len(spread) > 0 and float(spread.max()) < NARROW * self._sigma
        return narrow or self._progress.over or (limit is not None and self._used >= limit)

    def recommend(self) -> Genomes:
        """Return the means of the runs: under noise better than any one genome.

        The last run's comes first, unless nothing is known of it yet.
        """
        known = [self._run.mean] if self._used or not self._ended else []
        return np.array([*known, *self._ended])

    @property
    def facts(self) -> dict[str, Any]:
        """How wide the distribution is and how long, the population, and the restarts so far."""
        return {
            "sigma": float(f"{np.sqrt((self._run.spread**2).mean()):.6g}"),
            "axis_ratio": float(f"{self._run.axis_ratio:.6g}"),
            "population": self.population,
            "restarts": len(self._ended),
        }


def _check_numbers(population: int | None, sigma: float, patience: int | None) -> None:
    if population is not None and population < 3:
        raise ConfigError(
            f"population must be at least 3, got {population}; set optimizer.population"
        )
    if not 0 < sigma <= 1:
        raise ConfigError(f"sigma must be in (0, 1], got {sigma}; set optimizer.sigma")
    if patience is not None and patience < 4:
        raise ConfigError(f"patience must be at least 4, got {patience}; set optimizer.patience")


def _check_choice(option: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise ConfigError(
            f"{option} must be one of {', '.join(known)}, got {given}; set optimizer.{option}"
        )


def _check_switch(option: str, given: bool) -> None:
    if not isinstance(given, bool):
        raise ConfigError(f"{option} must be true or false, got {given!r}; set optimizer.{option}")
