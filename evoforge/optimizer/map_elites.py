"""MAP-Elites: the best model of each kind, where kinds are cells of a grid of measures.

Knows measures by the names that evaluations give them; does not know what they mean.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer._breeding import Breeding
from evoforge.optimizer._genes import Genes, Numbers, reflected
from evoforge.optimizer._grid import (
    Archive,
    archive,
    checked_bins,
    checked_ranges,
    metrics,
    telling,
)
from evoforge.optimizer._tellings import values
from evoforge.optimizer._variation import Cross, Variation, at_least_0
from evoforge.optimizer.base import NOTHING, Details, Genomes, Optimizer
from evoforge.space import Genome, Space

# Axes of a grid where none are named.
AXES = 2
# The best elites that answer the select items.
RECOMMENDED = 5


class MapElites(Optimizer):
    """MAP-Elites: parents from anywhere in the archive, and who is the best of its cell stays.

    What counts is the mean over all that a genome was told, and elites are asked again while the
    items change. All that was told is known, so the whole archive is made anew after each
    generation: where an axis is learned, cells follow as its range grows, and who is known better
    may fall back, or move to another cell.

    Args:
        space: what is searched.
        measures: the axes: name -> `[low, high]`, or None to learn the range: any metric, a task
            of several, `tokens` (of an answer), `hops` (of a path). None for the first two tasks of
            several that are judged together; else up to two metrics beside the main one, and if
            there are none, tokens.
        bins: cells along each axis; None for 10 on one axis, 5 on each of several.
        population: genomes asked at a time.
        again: the share of a generation that is asked again.
        crossover: one of `Variation`, see there for those below; or `iso_line`, a small step and
            one along the line to another elite, which takes the place of mutation for numbers.
        iso: of `iso_line`: standard deviation of the small step, as a share of every range.
        line: of `iso_line`: standard deviation of the other, in distances of the two elites.
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
        Mouret 2015, Illuminating search spaces by mapping elites (arXiv 1504.04909);
        Vassiliades 2018, Discovering the Elite Hypervolume by Leveraging Interspecies Correlation
        (arXiv 1804.03906), `iso_line`.
    """

    steady = True

    def __init__(
        self,
        space: Space,
        *,
        measures: Mapping[str, Sequence[float] | None] | None = None,
        bins: int | None = None,
        population: int = 20,
        again: float = 0.2,
        crossover: str = "blx",
        iso: float = 0.1,
        line: float = 0.3,
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
        if population < 1:
            raise ConfigError(
                f"population must be at least 1, got {population}; set optimizer.population"
            )
        at_least_0("iso", iso)
        at_least_0("line", line)
        super().__init__(space, population)
        self._ranges = None if measures is None else checked_ranges(measures)
        self.measures = None if self._ranges is None else ("fitness", *self._ranges)
        self._bins = checked_bins(bins)
        self._generator = np.random.default_rng(seed)
        own: dict[str, Cross] = {"iso_line": partial(iso_line, iso=iso, line=line)}
        children = Variation(
            space,
            self._generator,
            own,
            crossover=crossover,
            crossover_rate=1.0 if crossover == "iso_line" else crossover_rate,
            crossover_eta=crossover_eta,
            alpha=alpha,
            mutation=_mutation(space) if crossover == "iso_line" else mutation,
            mutation_rate=mutation_rate,
            sigma=sigma,
            mutation_eta=mutation_eta,
        )
        self._breeding = Breeding(space, self._generator, children, again=again, spread=spread)
        self._tellings = self._breeding.tellings
        self._archive: Archive | None = None

    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim) float64 in [0, 1]."""
        genomes, self.origins = self._breeding.generation(
            self.population, self._elites, self._pairs
        )
        return genomes

    @property
    def _elites(self) -> Numbers:
        """The places of who is in the archive, the best first."""
        if self._archive is None:
            return np.empty(0, dtype=np.intp)
        return self._archive.places[np.argsort(-self._archive.values, kind="stable")]

    def _pairs(self, size: int) -> Numbers:
        """Return elites drawn evenly, so that rare kinds have as many children: (size, 2)."""
        return self._elites[self._generator.integers(len(self._elites), size=(size, 2))]

    def tell(self, genomes: Genomes, fitness: Genome, details: Details = NOTHING) -> None:
        """Say how good the genomes asked last are; see `Optimizer.tell`."""
        if self._ranges is None:
            self._ranges = dict.fromkeys(_automatic(details, fitness))
        told = values(details, ("fitness", *self._ranges))
        self._tellings.tell(genomes, told, details)
        fine = self._tellings.fine
        means = self._tellings.means[fine]
        if len(fine):
            self._archive = archive(
                "fitness", self._ranges, self._bins, means[:, 0], means[:, 1:], fine
            )

    def recommend(self) -> Genomes:
        """Return the best elites that were told more than once, if any was."""
        return self._tellings.genomes[self._tellings.proven(self._elites)[:RECOMMENDED]]

    @property
    def facts(self) -> dict[str, Any]:
        """Coverage, QD score (above 0, or the worst that was told), and the archive itself."""
        if self._archive is None:
            return {}
        floor = min(0.0, float(self._tellings.means[self._tellings.fine, 0].min()))
        return {
            "coverage": self._archive.coverage,
            "qd_score": self._archive.score(floor),
            "archives": [self._archive.facts(self._tellings.numbers[self._archive.places])],
        }


def _mutation(space: Space) -> str:
    """Return what changes the genes that no step along a line can: choices and binaries."""
    return "none" if Genes(space).numeric.all() else "flip"


def iso_line(
    genes: Genes,
    first: Genomes,
    second: Genomes,
    generator: np.random.Generator,
    *,
    iso: float,
    line: float,
) -> Genomes:
    """Return children a small step from the first parent, and one along the line to the second.

        child = a + iso N(0, I) + line N(0, 1) (b - a)

    Steps out of the cube are thrown back; choices and binaries are exchanged at even chances.
    """
    small = iso * generator.standard_normal(first.shape)
    along = line * generator.standard_normal((len(first), 1))
    exchanged = np.where(generator.random(first.shape) < 0.5, first, second)
    stepped = reflected(first + small + along * (second - first))
    return np.where(genes.numeric, stepped, exchanged)


def _automatic(details: Details, fitness: Genome) -> list[str]:
    """Return the axes where none are named."""
    if details.tasks:
        return list(details.tasks[:AXES])
    return telling(metrics(details.values), details.values, fitness)[:AXES] or ["tokens"]
