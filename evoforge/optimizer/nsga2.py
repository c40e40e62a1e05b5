"""NSGA-II: a front of genomes, each the best for some balance of several goals.

Knows goals by the names that evaluations give them; does not know what they measure.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evoforge import pareto
from evoforge.errors import ConfigError
from evoforge.optimizer._breeding import Breeding
from evoforge.optimizer._genes import Numbers
from evoforge.optimizer._selection import tournament
from evoforge.optimizer._tellings import values
from evoforge.optimizer._variation import Variation
from evoforge.optimizer.base import NOTHING, Details, Genomes, Optimizer
from evoforge.space import Genome, Space

DIRECTIONS = {"max": 1.0, "min": -1.0}
# Of a task alone: as right as can be, in as few words as can be.
DEFAULT = {"fitness": "max", "tokens": "min"}
# Members of the front that answer the select items.
RECOMMENDED = 8


class Nsga2(Optimizer):
    """NSGA-II: parents by rank and crowding, and the best of parents and children go on.

    A genome is better than another if it is on an earlier front (fewer others are better in every
    goal), and on the same front if it has more room. What counts is the mean over all that a genome
    was told: members of the first front are asked again while the items change, so that who was
    lucky once does not stay.

    Args:
        space: what is searched.
        objectives: name -> `max` or `min`: `fitness`, any metric, a task of several, `tokens` (of
            an answer), `hops` (of a path). None for the tasks of several that are judged together,
            else fitness as high and tokens as few as can be.
        population: genomes asked at a time, and how many go on.
        again: the share of a generation that is asked again.
        crossover: `blx`, `sbx`, `uniform`, `one_point` or `none`; see `Variation` for this option
            and those below.
        crossover_rate: the chance that a pair is crossed.
        crossover_eta: of `sbx`.
        alpha: of `blx`.
        mutation: `gaussian`, `polynomial`, `reset`, `flip` or `none`.
        mutation_rate: the chance of each gene; None for one gene of a genome on average.
        sigma: of `gaussian`.
        mutation_eta: of `polynomial`.
        spread: standard deviation of the first genomes around the start; None for even draws.
        seed: of the random generator.

    Raises:
        ConfigError: an option makes no sense.

    Reference:
        Deb 2002, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II,
        https://doi.org/10.1109/4235.996017
    """

    steady = True

    def __init__(
        self,
        space: Space,
        *,
        objectives: Mapping[str, str] | None = None,
        population: int = 20,
        again: float = 0.2,
        crossover: str = "blx",
        crossover_rate: float = 0.9,
        crossover_eta: float = 5.0,
        alpha: float = 0.4,
        mutation: str = "gaussian",
        mutation_rate: float | None = None,
        sigma: float = 0.1,
        mutation_eta: float = 20.0,
        spread: float | None = 0.3,
        seed: int = 0,
    ) -> None:
        if population < 2:
            raise ConfigError(
                f"population must be at least 2, got {population}; set optimizer.population"
            )
        super().__init__(space, population)
        self._objectives = None if objectives is None else _checked(objectives)
        self.measures = None if objectives is None else tuple(objectives)
        self._generator = np.random.default_rng(seed)
        children = Variation(
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
        self._breeding = Breeding(space, self._generator, children, again=again, spread=spread)
        self._tellings = self._breeding.tellings
        # Places of those that go on, the best first, and of how many the first front is.
        self._kept: Numbers = np.empty(0, dtype=np.intp)
        self._front = 0
        self._reference: Genome | None = None

    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim) float64 in [0, 1]."""
        front = self._kept[: self._front]
        genomes, self.origins = self._breeding.generation(self.population, front, self._pairs)
        return genomes

    def _pairs(self, size: int) -> Numbers:
        """Return winners of binary tournaments: (size, 2) places."""
        best_first = -np.arange(len(self._kept), dtype=np.float64)
        drawn = tournament(best_first, 2 * size, self._generator)
        return self._kept[drawn].reshape(size, 2)

    def tell(self, genomes: Genomes, fitness: Genome, details: Details = NOTHING) -> None:
        """Say how good the genomes asked last are; see `Optimizer.tell`."""
        del fitness  # one measure of several
        if self._objectives is None:
            self._objectives = dict.fromkeys(details.tasks, "max") or DEFAULT
        told = values(details, tuple(self._objectives))
        places = self._tellings.tell(genomes, told, details)
        pool = np.union1d(self._kept, places)
        self._kept, self._front = self._survivors(pool[self._tellings.counts[pool] > 0])
        if self._reference is None and len(self._kept):
            self._reference = self._goals(self._kept).min(axis=0)

    def _goals(self, places: Numbers) -> Genomes:
        """Return the means of some genomes' goals, the higher the better: (n, goals)."""
        assert self._objectives is not None
        signs = np.array([DIRECTIONS[direction] for direction in self._objectives.values()])
        return np.asarray(self._tellings.means[places] * signs)

    def _survivors(self, pool: Numbers) -> tuple[Numbers, int]:
        """Return the places of those that go on, the best first, and how many are on the front."""
        pool = pool[np.argsort(-self._tellings.counts[pool], kind="stable")]
        goals = self._goals(pool)
        # Scores are steps, so equals are many. Each goes a front behind the one before it, or one
        # corner of the front would hold a whole population.
        ranks = pareto.ranks(goals) + pareto.copies(goals)
        room = np.zeros(len(pool))
        for rank in np.unique(ranks):
            room[ranks == rank] = pareto.crowding(goals[ranks == rank])
        order = np.lexsort((-room, ranks))[: self.population]
        return pool[order], int((ranks[order] == 0).sum())

    def recommend(self) -> Genomes:
        """Return members of the front: the best in each goal, the knee, and who is far off."""
        # Also those told once: the select items, which all of them answer, say who was lucky.
        front = self._kept[: self._front]
        if not len(front):
            return super().recommend()
        chosen = pareto.spread(self._goals(front), RECOMMENDED)
        return np.array(self._tellings.genomes[front[chosen]])

    @property
    def facts(self) -> dict[str, Any]:
        """The goals, the size of the front, and its hypervolume above the worst at the beginning.

        The reference point holds the worst of each goal that the first generation was told.
        """
        if self._reference is None or self._objectives is None:
            return {}
        goals = self._goals(self._kept[: self._front])
        signs = [DIRECTIONS[direction] for direction in self._objectives.values()]
        worst = zip(self._objectives, self._reference * signs, strict=True)
        return {
            "objectives": dict(self._objectives),
            "front": self._front,
            "hypervolume": pareto.hypervolume(goals, self._reference),
            "reference": {name: float(value) for name, value in worst},
        }


def _checked(objectives: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(objectives, Mapping) or len(objectives) < 2:
        raise ConfigError(
            f"objectives must be two or more, each `max` or `min`, got {objectives!r}; "
            "set optimizer.objectives={fitness: max, tokens: min}"
        )
    for name, direction in objectives.items():
        if direction not in DIRECTIONS:
            raise ConfigError(
                f"an objective must be max or min, got {direction!r}; "
                f"set optimizer.objectives.{name}"
            )
    return dict(objectives)
