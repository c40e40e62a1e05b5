"""One run of pycma in the unit cube: its options, its bounds, its whole numbers, its dice.

Knows which genes stand for a few values only; does not know when to start anew.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import NormalDist
from typing import Any

import cma
import numpy as np

from evoforge.optimizer.base import Genomes, counts, finite
from evoforge.space import Genome, Space

# Accuracy is a step function: ties and plateaus are no reason to give up.
PATIENT = {"tolfun": 0, "tolfunhist": 0, "tolflatfitness": 10**9, "tolstagnation": 10**9, "tolx": 0}

# A hundredth of the last decimal of a parameter: below it pycma only loses precision.
FINEST = 1e-8
# Of a gene with few values, in steps between them: pycma's own bound for small spaces.
COARSEST = 0.2
# A whole genome is drawn again while a number lies outside; with many genes one always does.
REDRAWS = 100


class Run:
    """A distribution that is asked and told, in genes of [0, 1].

    Args:
        space: what is searched.
        start: (dim,) the first mean.
        population: genomes asked at a time.
        sigma: first standard deviation, as a share of every parameter's range.
        seed: of its generators; more than one number for a run of several.
        diagonal: whether only variances are learned.
        active: whether the worst genomes are learned from, too.
        integers: whether binary, integer and choice genes are whole numbers to pycma.
        bounds: `transform`, `penalty` or `resample`.
    """

    def __init__(
        self,
        space: Space,
        start: Genome,
        *,
        population: int,
        sigma: float,
        seed: Sequence[int],
        diagonal: bool,
        active: bool,
        integers: bool,
        bounds: str,
    ) -> None:
        self.population = population
        self._dim = space.dim
        # pycma does not search along one axis alone: a second one that means nothing goes along.
        self._spare = np.ones(1 if space.dim == 1 else 0)
        self._counts = np.append(counts(space) if integers else np.ones(space.dim), self._spare)
        # pycma rounds to whole numbers: n values lie at 0 ... n - 1, in [-0.5, n - 0.5].
        self._shift = np.where(self._counts > 1, 0.5, 0.0)
        self._low, self._high = -self._shift, self._counts - self._shift
        self._dice = np.random.RandomState(np.random.SeedSequence(seed).generate_state(4))
        self._bounds = bounds
        # Whether nothing was asked since the last telling.
        self._unasked = True
        self._penalty = cma.BoundPenalty([self._low.tolist(), self._high.tolist()])
        options: dict[str, Any] = {
            **PATIENT,
            "popsize": population,
            "CMA_active": active,
            "randn": _Normal(seed),
            "seed": float("nan"),
            "verbose": -9,
            "maxiter": 10**9,
            **self._shape(diagonal),
        }
        self._search = cma.CMAEvolutionStrategy(self._vector(start), sigma, options)

    def _shape(self, diagonal: bool) -> dict[str, Any]:
        """Return the options that depend on what genes there are."""
        whole = np.flatnonzero(self._counts > 1)
        options: dict[str, Any] = {}
        if self._bounds == "transform":
            options["bounds"] = [self._low.tolist(), self._high.tolist()] if len(whole) else [0, 1]
        if diagonal:
            options["CMA_diagonal"] = True
        if diagonal or len(whole):
            options["minstd"] = np.where(self._counts > 1, self._least_spread(), FINEST)
        if len(whole):
            options |= {"CMA_stds": self._counts, "integer_variables": whole.tolist()}
        return options

    def _least_spread(self) -> float:
        """Return the least standard deviation of a gene with few values, in steps between them.

        From the middle of its value it reaches the next, half a step away, with a chance of
        1 / (genes x population), the margin of Hamano 2022. pycma's own bound falls with the
        genes until none ever changes: 0.008 for 4,288 genes, 62 standard deviations from there.
        """
        chance = 1 / (self._dim * self.population)
        return min(COARSEST, -0.5 / NormalDist().inv_cdf(chance))

    def ask(self, given: Genomes) -> tuple[Genomes, list[Genome]]:
        """Return the next genomes: (population, dim), the given ones in front, and its vectors.

        Args:
            given: (n, dim) with n up to the population, to be asked before any other.
        """
        self._unasked = False
        # Foreign genomes are directions to pycma: it does not learn from the worst of them, and
        # a far one does not throw it off. Without a draw of its own beside them it complains.
        self._search.inject([self._injected(genome) for genome in given], force=True)
        drawn = self._search.ask(max(self.population, len(given) + 1))[: self.population]
        if self._bounds == "resample":
            drawn = [*drawn[: len(given)], *(self._inside(v) for v in drawn[len(given) :])]
        genomes = self._genes(np.array(drawn))
        genomes[: len(given)] = given
        return genomes, drawn

    def _injected(self, genome: Genome) -> Genome:
        vector = self._vector(genome)
        found: Genome = self._search.boundary_handler.inverse(vector)
        return found

    def _inside(self, vector: Genome) -> Genome:
        """Return a vector within bounds: another one, and at last this one moved there."""
        for _ in range(REDRAWS // self._dim):
            if (vector >= self._low).all() and (vector <= self._high).all():
                break
            (vector,) = self._search.ask(1)
        return vector

    def tell(self, vectors: list[Genome], fitness: Genome, stale: Sequence[int] = ()) -> None:
        """Say how good some are that were asked.

        Args:
            vectors: as many as the population.
            fitness: (population,), not all of them failed.
            stale: places of those that were drawn before the last telling. Those far off are moved
                nearer, as foreign ones are (Hansen 2011).
        """
        losses = -finite(fitness)
        if self._bounds == "penalty":
            losses = losses + self._penalties(vectors, losses)
        if self._unasked:
            # pycma is asked before each telling; nobody sees these draws.
            self._search.ask()
        self._unasked = True
        with _as_global(self._dice), _unheard():
            self._search.tell(vectors, losses.tolist(), check_points=list(stale) or None)

    def _penalties(self, vectors: list[Genome], losses: Genome) -> Genome:
        """Return what genomes outside pay: (population,), in units of the losses' spread.

        pycma's own use of it charges nothing, because it looks at what was moved inside.
        """
        # Quartiles of three are read beyond the last; of each twice they are the ends.
        losses = np.repeat(losses, 2) if len(losses) < 4 else losses
        rank = 1 + len(losses)
        ordered = np.sort(losses)
        flat = ordered[3 * rank // 4] == ordered[rank // 4]
        if self._penalty.hist or not flat:
            self._penalty.update(losses.tolist(), self._search)
        return np.array(self._penalty(vectors, None, self._search.gp))

    @property
    def mean(self) -> Genome:
        """The mean of the distribution: (dim,) in [0, 1]."""
        (found,) = self._genes(np.array([self._search.result.xfavorite]))
        return np.asarray(found)

    @property
    def spread(self) -> Genome:
        """The standard deviation of each gene, as a share of its range: (dim,)."""
        found: Genome = (self._search.stds / self._counts)[: self._dim]
        return found

    @property
    def axis_ratio(self) -> float:
        """How much longer the distribution's longest axis is than its shortest."""
        return float(self._search.condition_number**0.5)

    def _vector(self, genome: Genome) -> Genome:
        found: Genome = np.append(genome, self._spare / 2) * self._counts - self._shift
        return found

    def _genes(self, vectors: Genomes) -> Genomes:
        genes: Genomes = ((vectors + self._shift) / self._counts)[..., : self._dim]
        # pycma's bounds hold up to rounding.
        return np.clip(genes, 0.0, 1.0)


class _Normal:
    """Standard normal numbers from a generator that nobody else draws from or seeds."""

    def __init__(self, seed: Sequence[int]) -> None:
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


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep pycma from warning of what is as it should be here.

    Draws with whole numbers that it is not told, because of bounds, also where they are like
    others; and a direction of its own that gives way to a given start.
    """
    with warnings.catch_warnings():
        for known in (
            r"tell: \d+ solution\(s\) of round int archive",
            r"tell, _catch_modified: \d",
        ):
            warnings.filterwarnings("ignore", message=rf"\s*{known}")
        warnings.simplefilter("ignore", cma.evolution_strategy.InjectionWarning)
        yield
