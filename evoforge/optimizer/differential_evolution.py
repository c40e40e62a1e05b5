"""Differential evolution: steps are differences between genomes of the population.

Knows vectors in the unit cube alone: genes with few values are numbers that fall into a share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer._genes import Genes, Numbers, reflected
from evoforge.optimizer._open import Open
from evoforge.optimizer._pool import Pool
from evoforge.optimizer._start import Start
from evoforge.optimizer._tellings import Items
from evoforge.optimizer._variation import one_of, share
from evoforge.optimizer.base import NOTHING, Details, Genomes, Optimizer
from evoforge.origin import Origin
from evoforge.space import Genome, Space

STRATEGIES = ("rand_1", "best_1", "current_to_best_1")
# A target, and three others to step from.
FEWEST = 4


@dataclass(frozen=True)
class _Job:
    """Why a genome is asked: `first`, `trial` or `again`, and for which target."""

    kind: str
    slot: int = -1


class DifferentialEvolution(Optimizer):
    """Differential evolution with binomial crossover, for fitness that changes by chance.

    Every target x has a trial, which takes its place if it is not worse:

        rand_1               v = a + F (b - c)
        best_1               v = best + F (b - c)
        current_to_best_1    v = x + F (best - x) + F (b - c)
        trial                v in each gene with chance `crossover_rate`, and in one at least,
                             else x

    a, b, c are others of the population, all different; what leaves the unit cube is thrown back
    from its bound. Genes that stand for a few values are numbers, too. Once all have the same
    value there, differences do not leave it, so now and then they are drawn anew.

    A target was judged on other items than its trial, and one that was lucky would never be
    beaten. So some targets of the better half, those told least, are asked again with every
    generation. A target's fitness is the mean of all that was told of it, and a generation's is
    taken to the same scale by how those who were asked again differ from before. While the items
    stay the same there are more trials instead.

    Args:
        space: what is searched, and where it starts.
        population: genomes asked at a time: a trial for each target, and targets asked again.
        spread: standard deviation of the first genomes around the space's start, as a share of
            every range; None for even draws from all.
        strategy: `rand_1`, `best_1` or `current_to_best_1`.
        factor: F in (0, 2], or two bounds between which it is drawn for every trial (dither).
        crossover_rate: the chance of each gene to be the mutant's.
        mutation_rate: the chance of each choice, integer or binary of a trial to be drawn anew;
            None for one of all genes on average.
        again: the share of a generation that is targets asked again, in [0, 0.5], rounded down;
            four targets there are in any case.
        seed: of the random generator.

    Raises:
        ConfigError: an option makes no sense.

    Reference:
        Storn 1997, Differential Evolution (Journal of Global Optimization 11); Das 2005, Improved
        Differential Evolution Schemes for Handling Noisy Optimization Problems (CEC), dither.
    """

    steady = True

    def __init__(
        self,
        space: Space,
        *,
        population: int = 12,
        spread: float | None = 0.2,
        strategy: str = "current_to_best_1",
        factor: float | Sequence[float] = 0.7,
        crossover_rate: float = 0.6,
        mutation_rate: float | None = None,
        again: float = 0.125,
        seed: int = 0,
    ) -> None:
        one_of("strategy", strategy, STRATEGIES)
        share("crossover_rate", crossover_rate)
        rate = 1 / space.dim if mutation_rate is None else mutation_rate
        share("mutation_rate", rate)
        if population < FEWEST:
            raise ConfigError(
                f"population must be at least {FEWEST}, got {population}; set optimizer.population"
            )
        if not 0 <= again <= 0.5:
            raise ConfigError(f"again must be in [0, 0.5], got {again}; set optimizer.again")
        super().__init__(space, population)
        self._generator = np.random.default_rng(seed)
        self._genes = Genes(space)
        self._start = Start(space, self._generator, spread)
        self._strategy, self._rate = strategy, crossover_rate
        self._mutation_rate = rate
        self._factor = _bounds(factor)
        self._count = min(int(again * population), population - FEWEST)
        self._items = Items()
        self._open: Open[_Job] = Open()
        self._first = self._targets = Pool.empty(space.dim)

    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim), a trial for each target, then targets."""
        if not len(self._targets):
            genomes, self.origins = self._start.genomes(self.population)
            self._open.ask([_Job("first")] * len(genomes))
            return genomes
        given, starts = self._start.given(len(self._targets))
        trials, origins = self._trials()
        trials[: len(given)] = given
        more, said, jobs = self._more()
        self.origins = (*starts, *origins[len(given) :], *said)
        self._open.ask([*(_Job("trial", slot) for slot in range(len(trials))), *jobs])
        return np.concatenate([trials, more])

    def _more(self) -> tuple[Genomes, list[Origin], list["_Job"]]:
        """Return what is asked beside a trial for each target: targets, or more trials.

        More trials while the items stay the same, on which targets would answer nothing new.
        """
        if self._items.change is False:
            trials, origins = self._trials()
            slots = self._generator.permutation(len(trials))[: self._count]
            return trials[slots], [origins[s] for s in slots], [_Job("trial", s) for s in slots]
        slots = self._next_again()
        again = self._targets.some(slots)
        repeats = [Origin("again", (int(number),)) for number in again.numbers]
        return again.genomes, repeats, [_Job("again", slot) for slot in slots]

    def _next_again(self) -> Numbers:
        """Return which targets are asked again: of the better half those told least."""
        half = max(self._count, len(self._targets) // 2)
        better = np.argsort(-self._targets.mean, kind="stable")[:half]
        told = self._targets.times.copy()
        asked = [job.slot for job in self._open.memories if job.kind == "again"]
        np.add.at(told, np.array(asked, dtype=np.intp), 1)
        return np.asarray(better[np.argsort(told[better], kind="stable")][: self._count])

    def _trials(self) -> tuple[Genomes, list[Origin]]:
        """Return a trial for each target, (n, dim), and where they come from."""
        x, numbers = self._targets.genomes, self._targets.numbers
        n = len(x)
        # Drawn among equals: a plateau would shrink to the first genome on it.
        mean = self._targets.mean
        best = int(self._generator.choice(np.flatnonzero(mean == mean.max())))
        a, b, c = self._others(n, best)
        factor = self._generator.uniform(*self._factor, size=(n, 1))
        if self._strategy == "rand_1":
            parents = np.column_stack([a, b, c])
            mutants = x[a] + factor * (x[b] - x[c])
        else:
            parents = np.column_stack([np.full(n, best), b, c])
            start = x[best] if self._strategy == "best_1" else x + factor * (x[best] - x)
            mutants = start + factor * (x[b] - x[c])
        taken = self._generator.random(x.shape) < self._rate
        taken[np.arange(n), self._generator.integers(self.space.dim, size=n)] = True
        trials = np.where(taken, reflected(mutants), x)
        new = (self._generator.random(x.shape) < self._mutation_rate) & self._genes.discrete
        names = np.where(new.any(axis=1), f"{self._strategy}+reset", self._strategy).tolist()
        origins = [
            Origin(name, tuple(dict.fromkeys(numbers[[target, *others]].tolist())))
            for target, (name, others) in enumerate(zip(names, parents, strict=True))
        ]
        return np.where(new, self._generator.random(x.shape), trials), origins

    def _others(self, n: int, best: int) -> tuple[Numbers, Numbers, Numbers]:
        """Return three others for each target, all different; b and c are not the best either."""
        keys = self._generator.random((n, n))
        np.fill_diagonal(keys, 2.0)
        if self._strategy != "rand_1":
            keys[:, best] = 2.0
        order = keys.argsort(axis=1)
        return (order[:, 2], order[:, 0], order[:, 1])

    def tell(self, genomes: Genomes, fitness: Genome, details: Details = NOTHING) -> None:
        """Say how good genomes are; see `Optimizer.tell`."""
        numbers, jobs = self._open.tell(len(genomes), details)
        self._items.see(details)
        if not len(self._targets):
            self._first = self._first.with_new(genomes, numbers, fitness)
            order = np.argsort(-self._first.sums, kind="stable")
            if len(order) >= self.population:
                self._targets = self._first.some(order[: self.population - self._count])
            return
        # In steady state another may have taken a target's place since it was asked again.
        asked = [
            (row, job.slot)
            for row, job in enumerate(jobs)
            if job.kind == "again" and np.array_equal(self._targets.genomes[job.slot], genomes[row])
        ]
        rows, places = np.reshape(np.array(asked, dtype=np.intp), (-1, 2)).T
        fitness = fitness - self._shift(places, fitness[rows])
        self._targets = self._targets.again(places, numbers[rows], fitness[rows])
        for row, job in enumerate(jobs):
            if job.kind != "again":
                # Of the first genomes, those that came too late stand against the worst.
                slot = job.slot if job.kind == "trial" else int(self._targets.mean.argmin())
                rival = Pool.empty(self.space.dim).with_new(
                    genomes[[row]], numbers[[row]], fitness[[row]]
                )
                if fitness[row] >= self._targets.mean[slot]:
                    self._targets = self._targets.replaced(slot, rival)

    def _shift(self, places: Numbers, now: Genome) -> float:
        """Return how much easier the items are of those told now than those before.

        Args:
            places: of the targets that were asked again.
            now: their fitness. As few say little, the mean of their differences counts as if one
                more had found none.
        """
        before = self._targets.mean[places]
        both = np.isfinite(before) & np.isfinite(now)
        return float((now[both] - before[both]).sum() / (both.sum() + 1))

    def recommend(self) -> Genomes:
        """Return the best that was asked more than once, and what the better half agree on."""
        better = self._targets.some(self._targets.best(max(1, len(self._targets) // 2)))
        # Nobody, if a target that had never failed did when it was asked again.
        if not len(better):
            return super().recommend()
        proven = better.genomes[better.times > 1][:1]
        return np.concatenate([proven, self._genes.consensus(better.genomes)])

    @property
    def facts(self) -> dict[str, Any]:
        """How far apart the targets are, in shares of a range, and how the best stands."""
        best = self._targets.some(self._targets.best(1))
        return {"diversity": round(self._targets.diversity, 6), "best": best.rows}


def _bounds(factor: float | Sequence[float]) -> tuple[float, float]:
    """Return the bounds of F, which are the same for one number.

    Raises:
        ConfigError: they make no sense.
    """
    bounds = list(factor) if isinstance(factor, Sequence) else [factor, factor]
    if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] <= 2:
        raise ConfigError(
            f"factor must be a number in (0, 2] or two, the lower first, got {factor}; "
            "set optimizer.factor"
        )
    return bounds[0], bounds[1]
