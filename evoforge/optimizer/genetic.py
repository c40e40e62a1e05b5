"""A genetic algorithm: the better have children, and the best are asked again.

Knows which genes are numbers, values or switches; does not know of what.
"""

import math
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer._open import Open
from evoforge.optimizer._pool import Pool
from evoforge.optimizer._selection import selection as drawer
from evoforge.optimizer._start import Start
from evoforge.optimizer._tellings import Items
from evoforge.optimizer._variation import Variation
from evoforge.optimizer.base import NOTHING, Details, Genomes, Optimizer
from evoforge.origin import Origin
from evoforge.space import Genome, Space


class Genetic(Optimizer):
    """A genetic algorithm whose generations replace each other but for their elites.

    Fitness changes by chance, so an elite is not only kept but asked again: it answers what its
    children answer, and its fitness is the mean of all that was told of it. Who was merely
    lucky loses its place. While the items stay the same nobody is asked again.

    Args:
        space: what is searched, and where it starts.
        population: genomes asked at a time, elites and children; None for 10 + floor(3 ln n) with
            n genes.
        spread: standard deviation of the first genomes around the space's start, as a share of
            every range; None for even draws from all.
        selection: who becomes a parent: `tournament`, the best of some drawn evenly; `rank`, at
            chances that fall evenly with the rank; `roulette`, in proportion to fitness above
            the worst; `truncation`, the best share, all alike.
        tournament_size: of `tournament`: how many are compared.
        pressure: of `rank`: how often the best is drawn, where 1 is the average; in [1, 2].
        kept: of `truncation`: the share of the best.
        crossover: what children take of two parents; see `Variation`, also for the next ones.
        crossover_rate: the chance that a child has two parents.
        crossover_eta: of `sbx`.
        alpha: of `blx`.
        mutation: what changes in children.
        mutation_rate: the chance of each gene; None for two genes of a genome on average.
        sigma: of `gaussian`.
        mutation_eta: of `polynomial`.
        elites: how many of the best are asked again.
        seed: of the random generator.

    Raises:
        ConfigError: an option makes no sense.

    Reference:
        Holland 1975, Adaptation in Natural and Artificial Systems; Goldberg 1991, A Comparative
        Analysis of Selection Schemes Used in Genetic Algorithms (FOGA 1); Jin 2005, Evolutionary
        Optimization in Uncertain Environments (IEEE TEC 9), on fitness that changes by chance.
    """

    steady = True

    def __init__(
        self,
        space: Space,
        *,
        population: int | None = None,
        spread: float | None = 0.2,
        selection: str = "tournament",
        tournament_size: int = 3,
        pressure: float = 1.5,
        kept: float = 0.3,
        crossover: str = "blx",
        crossover_rate: float = 0.9,
        crossover_eta: float = 5.0,
        alpha: float = 0.5,
        mutation: str = "gaussian",
        mutation_rate: float | None = None,
        sigma: float = 0.2,
        mutation_eta: float = 20.0,
        elites: int = 2,
        seed: int = 0,
    ) -> None:
        if population is None:
            population = 10 + math.floor(3 * math.log(space.dim))
        if population < 2:
            raise ConfigError(
                f"population must be at least 2, got {population}; set optimizer.population"
            )
        if not 0 <= elites < population:
            raise ConfigError(
                f"elites must be in [0, {population - 1}], fewer than the population, got "
                f"{elites}; set optimizer.elites"
            )
        if mutation_rate is None:
            # Under noise narrow steps gather on the first hill: better twice as many, and wide.
            mutation_rate = min(1.0, 2 / space.dim)
        super().__init__(space, population)
        self._generator = np.random.default_rng(seed)
        self._start = Start(space, self._generator, spread)
        self._variation = Variation(
            space,
            self._generator,
            crossover=crossover,
            crossover_rate=crossover_rate,
            crossover_eta=crossover_eta,
            alpha=alpha,
            mutation=mutation,
            mutation_rate=mutation_rate,
            sigma=sigma,
            mutation_eta=mutation_eta,
        )
        self._draw = drawer(
            selection, tournament_size=tournament_size, pressure=pressure, kept=kept
        )
        self._elites = elites
        self._items = Items()
        # Of each genome: whether it is asked again.
        self._open: Open[bool] = Open()
        self._pool = Pool.empty(space.dim)

    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim): starts that are left, elites, children."""
        if not len(self._pool):
            genomes, self.origins = self._start.genomes(self.population)
        else:
            given, starts = self._start.given(self.population)
            elites = self._again(self.population - len(given))
            again = tuple(Origin("elite", (int(number),)) for number in elites.numbers)
            known = np.concatenate([given, elites.genomes])
            children, born = self._children(self.population - len(known), known)
            self.origins = (*starts, *again, *born)
            genomes = np.concatenate([known, children])
        self._open.ask(origin.operator == "elite" for origin in self.origins)
        return genomes

    def _again(self, room: int) -> Pool:
        """Return the elites that are asked again: none if that would say nothing new."""
        best = self._pool.best(min(self._elites, room))
        return self._pool.some(best if self._items.change is not False else best[:0])

    def _children(self, size: int, known: Genomes) -> tuple[Genomes, tuple[Origin, ...]]:
        """Return children of the pool, none of them known, and where they come from."""
        fitness = self._pool.mean
        one, other = np.split(self._draw(fitness, 2 * size, self._generator), 2)
        # Nobody can be crossed with itself: such a pair gets another chance.
        other = np.where(one == other, self._draw(fitness, size, self._generator), other)
        pairs = np.column_stack([one, other])
        first, second = self._pool.genomes[one], self._pool.genomes[other]
        return self._variation.children(first, second, self._pool.numbers[pairs], known)

    def tell(self, genomes: Genomes, fitness: Genome, details: Details = NOTHING) -> None:
        """Say how good the genomes asked last are; see `Optimizer.tell`."""
        numbers, known = self._open.tell(len(genomes), details)
        self._items.see(details)
        elite = np.array(known, dtype=bool)
        stay = self._pool.some(self._pool.best(self._elites))
        # Who is an elite no longer was told in vain.
        found = [(row, stay.find(genomes[row])) for row in np.flatnonzero(elite)]
        told = [(row, place) for row, place in found if place is not None]
        rows, places = np.reshape(np.array(told, dtype=np.intp), (-1, 2)).T
        again = stay.again(places, numbers[rows], fitness[rows])
        self._pool = again.with_new(genomes[~elite], numbers[~elite], fitness[~elite])

    def recommend(self) -> Genomes:
        """Return the best that was asked more than once, and what the better half agree on."""
        if not len(self._pool):
            return super().recommend()
        better = self._pool.some(self._pool.best(max(1, len(self._pool) // 2)))
        proven = better.genomes[better.times > 1][:1]
        return np.concatenate([proven, self._variation.genes.consensus(better.genomes)])

    @property
    def facts(self) -> dict[str, Any]:
        """How far apart the genomes are, in shares of a range, and who will be asked again."""
        best = self._pool.some(self._pool.best(self._elites))
        return {"diversity": round(self._pool.diversity, 6), "elites": best.rows}
