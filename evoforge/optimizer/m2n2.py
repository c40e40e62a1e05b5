"""M2N2: models that live on the items they solve, and pair with who solves what they cannot.

Knows the scores of items; does not know what they ask.
"""

from functools import partial
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer._breeding import Breeding
from evoforge.optimizer._genes import Numbers
from evoforge.optimizer._mixing import mix, split
from evoforge.optimizer._niches import attraction, fed, living, survivors
from evoforge.optimizer._variation import Variation, at_least_0
from evoforge.optimizer.base import NOTHING, Details, Genomes, Optimizer
from evoforge.space import Genome, Space

# The best of the archive that answer the select items.
RECOMMENDED = 3


class M2n2(Optimizer):
    """Model merging of natural niches: competition for items, and attraction between parents.

    Every item is food that those who solve it share, so a model that solves what few others do
    lives well; who lives on the least leaves the archive. The first of two parents is drawn by what
    it lives on, the second by how much more it gets than the first of the items that both were
    asked. Children are means of both, turned round at a border between
    layers, so that where a merge is cut evolves too.

    Where the items change from generation to generation, the archive knows some answers of each
    model only: models compete for the items that they were asked, and those asked least are asked
    again. That works, but `fitness=full` suits it best.

    Args:
        space: what is searched.
        population: genomes asked at a time.
        archive: how many models live at a time.
        competition: the power of an item's crowd; 0 for none: the archive holds the best.
        attraction: whether the second parent is drawn by what the first lacks; else as the first.
        again: the share of a generation that is asked again while the items change.
        crossover: `split`, means that turn round at a border between layers; `mix`, means; or one
            of `Variation`, see there for those below.
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
        Abrantes 2025, Competition and Attraction Improve Model Fusion (arXiv 2508.16204). Models
        themselves are bred there, and one child at a time.
    """

    measures = ()
    per_item = True
    steady = True

    def __init__(
        self,
        space: Space,
        *,
        population: int = 20,
        archive: int = 20,
        competition: float = 1.0,
        attraction: bool = True,
        again: float = 0.2,
        crossover: str = "split",
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
        for option, size, least in (("population", population, 1), ("archive", archive, 2)):
            if size < least:
                raise ConfigError(
                    f"{option} must be at least {least}, got {size}; set optimizer.{option}"
                )
        at_least_0("competition", competition)
        if not isinstance(attraction, bool):
            raise ConfigError(
                f"attraction must be true or false, got {attraction!r}; set optimizer.attraction"
            )
        super().__init__(space, population)
        self._size, self._competition, self._attraction = archive, competition, attraction
        self._generator = np.random.default_rng(seed)
        children = Variation(
            space,
            self._generator,
            {"split": split, "mix": partial(mix, deviation=0.5)},
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
        # The archive: places of its models, and what each of them scored on each item.
        self._living: Numbers = np.empty(0, dtype=np.intp)
        self._scores: Genomes = np.empty((0, 0))
        self._columns: dict[str, int] = {}

    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim) float64 in [0, 1]."""
        genomes, self.origins = self._breeding.generation(
            self.population, self._living, self._pairs
        )
        return genomes

    def _pairs(self, size: int) -> Numbers:
        """Return a first parent by what it lives on, and a second by attraction: (size, 2)."""
        shares = self._shares(self._scores)
        lives = living(shares)
        firsts = self._drawn(lives, size)
        seconds = []
        for first in firsts:
            wanted = attraction(shares, int(first)) if self._attraction else lives.copy()
            wanted[first] = 0.0
            if not wanted.any() and len(wanted) > 1:
                wanted = np.where(np.arange(len(wanted)) == first, 0.0, 1.0)
            seconds.append(int(self._drawn(wanted, 1)[0]))
        pairs = np.stack([firsts, np.array(seconds, dtype=np.intp)], axis=1)
        return np.asarray(self._living[pairs])

    def _drawn(self, weights: Genome, size: int) -> Numbers:
        """Return so many drawn in proportion to weights, evenly if all are 0: (size,)."""
        total = weights.sum()
        chances = weights / total if total > 0 else np.full(len(weights), 1 / len(weights))
        return np.asarray(self._generator.choice(len(weights), size, p=chances), dtype=np.intp)

    def _shares(self, scores: Genomes) -> Genomes:
        return fed(_from_0(scores), self._competition)

    def tell(self, genomes: Genomes, fitness: Genome, details: Details = NOTHING) -> None:
        """Say how good the genomes asked last are; see `Optimizer.tell`."""
        if details.items is None:
            raise ConfigError("M2N2 must be told the score of every item beside fitness")
        known = np.where(np.isfinite(fitness), fitness, np.nan)[:, None]
        places = self._tellings.tell(genomes, known, details)
        scores = self._spread(details.items, details.ids)
        pool = np.union1d(self._living, places).astype(np.intp)
        rows = np.full((len(pool), len(self._columns)), np.nan)
        rows[np.searchsorted(pool, self._living), : self._scores.shape[1]] = self._scores
        for place, told in zip(np.searchsorted(pool, places), scores, strict=True):
            rows[place] = np.where(np.isfinite(told), told, rows[place])
        fine = np.isfinite(rows).any(axis=1)
        pool, rows = pool[fine], rows[fine]
        left = survivors(_from_0(rows), self._size, self._competition)
        order = left[np.argsort(-living(self._shares(rows[left])), kind="stable")]
        self._living, self._scores = pool[order], rows[order]

    def _spread(self, items: Genomes, ids: tuple[str, ...]) -> Genomes:
        """Return scores over all items that were ever answered: (population, known items)."""
        for item in ids:
            self._columns.setdefault(item, len(self._columns))
        found = np.full((len(items), len(self._columns)), np.nan)
        found[:, [self._columns[item] for item in ids]] = items
        return found

    def recommend(self) -> Genomes:
        """Return the best of the archive over all that they were asked, if asked more than once."""
        if not len(self._living):
            return super().recommend()
        order = self._living[np.argsort(-np.nanmean(self._scores, axis=1), kind="stable")]
        return self._tellings.genomes[self._tellings.proven(order)[:RECOMMENDED]]

    @property
    def facts(self) -> dict[str, Any]:
        """The archive's size, how much of the items somebody in it solves, and its best alone."""
        if not len(self._living):
            return {}
        answered = np.isfinite(self._scores).any(axis=0)
        return {
            "archive": len(self._living),
            "together": float(np.nanmax(self._scores[:, answered], axis=0).mean()),
            "best": float(np.nanmean(self._scores, axis=1).max()),
        }


def _from_0(scores: Genomes) -> Genomes:
    """Return scores as food, of which nobody has less than none: moved up if some are negative."""
    least = np.nanmin(scores, initial=0.0)
    return scores - least
