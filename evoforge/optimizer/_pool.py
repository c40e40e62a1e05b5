"""A pool: genomes that live on, and what was told of each, be it once or more often."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from evoforge.optimizer._genes import Numbers
from evoforge.optimizer.base import Genomes
from evoforge.space import Genome


@dataclass(frozen=True)
class Pool:
    """Genomes with the mean of all that was told of them.

    Args:
        genomes: (n, dim).
        numbers: (n,) of each, in the order asked; of its last time, if it was asked again.
        sums: (n,) of the fitness told; -inf once it has failed.
        times: (n,) how often it was told.
    """

    genomes: Genomes
    numbers: Numbers
    sums: Genome
    times: Genome

    @staticmethod
    def empty(dim: int) -> "Pool":
        """Return a pool of nothing."""
        return Pool(np.empty((0, dim)), np.empty(0, dtype=np.intp), np.empty(0), np.empty(0))

    def __len__(self) -> int:
        return len(self.genomes)

    @property
    def diversity(self) -> float:
        """The mean standard deviation of a gene, as a share of its range."""
        return float(self.genomes.std(axis=0).mean()) if len(self) else 0.0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What a report should know of each genome, as JSON; all must have been judged."""
        told = zip(self.numbers, self.times, self.mean, strict=True)
        return [
            {"number": int(number), "told": int(times), "fitness": float(f"{mean:.6g}")}
            for number, times, mean in told
        ]

    @property
    def mean(self) -> Genome:
        """The mean fitness: (n,)."""
        return np.asarray(self.sums / self.times)

    def best(self, count: int) -> Numbers:
        """Return the places of at most so many of the best, best first, without failures."""
        order = np.argsort(-self.mean, kind="stable")[:count]
        return np.asarray(order[np.isfinite(self.sums[order])])

    def some(self, places: Numbers) -> "Pool":
        """Return the genomes of some places."""
        return Pool(
            self.genomes[places], self.numbers[places], self.sums[places], self.times[places]
        )

    def again(self, places: Numbers, numbers: Numbers, fitness: Genome) -> "Pool":
        """Return this pool after some of it was asked again.

        Args:
            places: (m,) of what was asked; who was asked more than once is there as often.
            numbers: (m,) of each, this time.
            fitness: (m,) what was told.
        """
        own, sums, times = self.numbers.copy(), self.sums.copy(), self.times.copy()
        own[places] = numbers
        np.add.at(sums, places, fitness)
        np.add.at(times, places, 1)
        return Pool(self.genomes, own, sums, times)

    def with_new(self, genomes: Genomes, numbers: Numbers, fitness: Genome) -> "Pool":
        """Return this pool with genomes behind it that were told once."""
        return Pool(
            np.concatenate([self.genomes, genomes]),
            np.concatenate([self.numbers, numbers]),
            np.concatenate([self.sums, fitness]),
            np.concatenate([self.times, np.ones(len(genomes))]),
        )

    def find(self, genome: Genome) -> int | None:
        """Return the place of a genome; None if it is not there."""
        found = np.flatnonzero((self.genomes == genome).all(axis=1))
        return int(found[0]) if len(found) else None

    def replaced(self, place: int, other: "Pool") -> "Pool":
        """Return this pool with the one genome of another in a place."""
        found = Pool(self.genomes.copy(), self.numbers.copy(), self.sums.copy(), self.times.copy())
        found.genomes[place], found.numbers[place] = other.genomes[0], other.numbers[0]
        found.sums[place], found.times[place] = other.sums[0], other.times[0]
        return found
