"""CycleQD: an archive for each task, whose turn it is to be the goal in each generation.

Knows tasks by the names that evaluations give them; does not know what they measure.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer._breeding import Breeding
from evoforge.optimizer._genes import Genes, Numbers
from evoforge.optimizer._grid import Archive, archive, checked_bins, metrics, telling
from evoforge.optimizer._mixing import mix
from evoforge.optimizer._tellings import values
from evoforge.optimizer._variation import Variation, at_least_0
from evoforge.optimizer.base import NOTHING, Details, Genomes, Optimizer
from evoforge.space import Genome, Space

# Axes of a task's grid: with three tasks the two others, with more the next two in turn.
AXES = 2
# What the worst and the best of an archive weigh in each of its scores, when parents are drawn.
LEAST, MOST = 0.5, 0.8


class CycleQd(Optimizer):
    r"""CycleQD: quality-diversity whose quality is another task's in each generation.

    Each task has an archive: its quality is the task's own score, the axes of its grid are the
    scores of the two tasks that follow it in turn (of the other, if there are two). Every genome
    goes into every archive; parents are drawn from that of the task whose turn it is:

        chance ~ \prod_i (0.5 + 0.3 (s_i - min s_i) / (max s_i - min s_i)),   s: quality and axes

    What counts is the mean over all that a genome was told, and elites are asked again while the
    items change. At the end the best of each archive are recommended, and a genome between them.

    Args:
        space: what is searched.
        tasks: names of two or more tasks of several, or metrics, of which higher is better. None
            for all tasks that are judged together; of a task alone its metrics beside the main one,
            with fitness if there is only one.
        bins: cells along each axis; None for 10 on one axis, 5 on each of several.
        population: genomes asked at a time.
        again: the share of a generation that is asked again.
        crossover: `mix`, a weighted mean of the parents; or one of `Variation`, see there for those
            below.
        deviation: of `mix`: standard deviation of the parents' weights, whose mean is 1.
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
        Kuroki 2024, Agent Skill Acquisition for Large Language Models via CycleQD
        (arXiv 2410.14735). Models themselves are bred there; here it is the numbers that merge
        them, so mutation by singular values has no counterpart.
    """

    steady = True

    def __init__(
        self,
        space: Space,
        *,
        tasks: Sequence[str] | None = None,
        bins: int | None = None,
        population: int = 20,
        again: float = 0.2,
        crossover: str = "mix",
        deviation: float = 0.5,
        crossover_rate: float = 0.9,
        crossover_eta: float = 5.0,
        alpha: float = 0.4,
        mutation: str = "gaussian",
        mutation_rate: float | None = None,
        sigma: float = 0.2,
        mutation_eta: float = 20.0,
        spread: float | None = 0.3,
        seed: int = 0,
    ) -> None:
        if population < 1:
            raise ConfigError(
                f"population must be at least 1, got {population}; set optimizer.population"
            )
        at_least_0("deviation", deviation)
        super().__init__(space, population)
        self._tasks = () if tasks is None else _checked(tasks)
        self.measures = None if tasks is None else self._tasks
        self._bins = checked_bins(bins)
        self._genes = Genes(space)
        self._generator = np.random.default_rng(seed)
        children = Variation(
            space,
            self._generator,
            {"mix": partial(mix, deviation=deviation)},
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
        self._archives: list[Archive] = []
        self._turn = -1

    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim) float64 in [0, 1]."""
        pool = self._elites()
        genomes, self.origins = self._breeding.generation(self.population, pool, self._pairs)
        return genomes

    def _elites(self) -> Numbers:
        """Return the places of who is in an archive, the best over all tasks first."""
        held = [found.places for found in self._archives]
        pool = np.unique(np.concatenate(held)) if held else np.empty(0, dtype=np.intp)
        return pool[np.argsort(-self._tellings.means[pool].sum(axis=1), kind="stable")]

    def _pairs(self, size: int) -> Numbers:
        """Return different elites of the archive whose turn it is: (size, 2) places."""
        found = self._archives[self._turn]
        logs = np.log(chances(self._tellings.means[found.places][:, self._scores(self._turn)]))
        # The largest of logarithms with Gumbel noise are draws without replacement.
        noise = self._generator.gumbel(size=(size, len(logs)))
        drawn = np.argsort(-(logs + noise), axis=1)[:, :2]
        return found.places[np.resize(drawn.T, (2, size)).T]

    def _scores(self, task: int) -> list[int]:
        """Return the numbers of a task and of the axes of its archive."""
        count = len(self._tasks)
        return [(task + step) % count for step in range(min(count, 1 + AXES))]

    def tell(self, genomes: Genomes, fitness: Genome, details: Details = NOTHING) -> None:
        """Say how good the genomes asked last are; see `Optimizer.tell`."""
        if not self._tasks:
            self._tasks = _automatic(details, fitness)
        told = values(details, self._tasks)
        self._tellings.tell(genomes, told, details)
        if len(self._tellings.fine):
            self._archives = [self._archive(task) for task in range(len(self._tasks))]
            self._turn = (self._turn + 1) % len(self._tasks)

    def _archive(self, task: int) -> Archive:
        fine = self._tellings.fine
        quality, *axes = self._scores(task)
        means = self._tellings.means[fine]
        ranges = dict.fromkeys(self._tasks[axis] for axis in axes)
        name = self._tasks[quality]
        return archive(name, ranges, self._bins, means[:, quality], means[:, axes], fine)

    def recommend(self) -> Genomes:
        """Return the best of each archive, and a genome between them.

        The more a task is solved, the more its best weighs: softmax of the qualities.
        """
        if not self._archives:
            return super().recommend()
        best, quality = [], []
        for task, found in enumerate(self._archives):
            order = found.places[np.argsort(-found.values, kind="stable")]
            best.append(int(self._tellings.proven(order)[0]))
            quality.append(self._tellings.means[best[-1], task])
        experts = self._tellings.genomes[best]
        weights = np.exp(np.array(quality) - max(quality))
        # Where all are at the bound, rounding may take the mean beyond it.
        between = np.clip(weights @ experts / weights.sum(), 0, 1)
        # Choices have nothing between them.
        between = np.where(self._genes.numeric, between, experts[np.argmax(weights)])
        return np.array([between, *experts])

    @property
    def facts(self) -> dict[str, Any]:
        """The task whose turn is next, mean coverage, QD score of all, and the archives."""
        if not self._archives:
            return {}
        low = self._tellings.means[self._tellings.fine].min(axis=0)
        scores = [
            found.score(min(0.0, float(floor)))
            for found, floor in zip(self._archives, low, strict=True)
        ]
        numbers = self._tellings.numbers
        return {
            "task": self._tasks[self._turn],
            "coverage": float(np.mean([found.coverage for found in self._archives])),
            "qd_score": float(sum(scores)),
            "archives": [found.facts(numbers[found.places]) for found in self._archives],
        }


def chances(scores: Genomes) -> Genome:
    """Return how likely each of an archive is drawn, up to a factor: (n,).

    Args:
        scores: (n, scores) quality and axes.
    """
    low, high = scores.min(axis=0), scores.max(axis=0)
    shares = np.where(high > low, (scores - low) / np.where(high > low, high - low, 1.0), 1.0)
    return np.asarray((LEAST + (MOST - LEAST) * shares).prod(axis=1))


def _checked(tasks: Sequence[str]) -> tuple[str, ...]:
    if isinstance(tasks, str | Mapping) or len(set(tasks)) < 2:
        raise ConfigError(
            f"tasks must be the names of two or more, got {tasks!r}; set optimizer.tasks"
        )
    return tuple(dict.fromkeys(tasks))


def _automatic(details: Details, fitness: Genome) -> tuple[str, ...]:
    """Return the tasks where none are named.

    Raises:
        ConfigError: there are no two.
    """
    found = list(details.tasks)
    if len(found) < 2:
        found = telling(metrics(details.values), details.values, fitness)
        found = ["fitness", *found] if len(found) == 1 else found
    if len(found) < 2:
        raise ConfigError(
            "CycleQD needs two tasks, or metrics that tell models apart; set a task of several, or "
            "optimizer.tasks"
        )
    return tuple(found)
