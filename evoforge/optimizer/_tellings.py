"""What was told of each genome, over all generations in which it was asked.

Fitness is noisy: each generation may answer other items, and whoever leads was lucky too. So the
good are asked again, and what counts is the mean over all that they were told.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer._genes import Numbers
from evoforge.optimizer.base import Details, Genomes

# Who was told so often is known well enough.
ENOUGH = 5


class Tellings:
    """Every genome that was asked, once, with the means of its values.

    A place is a genome's number among these; it never changes.

    Args:
        dim: genes of a genome.

    Attributes:
        genomes: (n, dim).
        counts: (n,) how often each was told; 0 for those that always failed.
        numbers: (n,) of each when it was asked last, in the order asked.
        changing: whether the items of the last two generations differ, so that who is asked again
            is told something new.
    """

    def __init__(self, dim: int) -> None:
        self._places: dict[bytes, int] = {}
        self._sums = np.empty((0, 0))
        self._ids: tuple[str, ...] = ()
        self._asked = 0
        self.genomes: Genomes = np.empty((0, dim))
        self.counts: Numbers = np.empty(0, dtype=np.intp)
        self.numbers: Numbers = np.empty(0, dtype=np.intp)
        self.changing = False

    def __len__(self) -> int:
        return len(self._places)

    def tell(self, genomes: Genomes, values: Genomes, ids: Sequence[str] = ()) -> Numbers:
        """Add a generation; return the places of its genomes: (population,).

        Args:
            genomes: (population, dim), as asked.
            values: (population, measures), NaN in the row of a failure.
            ids: of the items that were answered.
        """
        known = len(self)
        # A digest, not the genome itself: of 4,288 genes that is 34 kB, and one copy is enough.
        keys = [blake2b(genome.tobytes(), digest_size=16).digest() for genome in genomes]
        for key in keys:
            self._places.setdefault(key, len(self))
        places = np.array([self._places[key] for key in keys], dtype=np.intp)
        self._grow(len(self) - known, values.shape[1])
        self.genomes[places] = genomes
        self.numbers[places] = self._asked + np.arange(len(genomes))
        self._asked += len(genomes)
        fine = np.isfinite(values).all(axis=1)
        np.add.at(self._sums, places[fine], values[fine])
        np.add.at(self.counts, places[fine], 1)
        self.changing = bool(self._ids) and tuple(ids) != self._ids
        self._ids = tuple(ids)
        return places

    def _grow(self, more: int, measures: int) -> None:
        self.genomes = np.vstack([self.genomes, np.zeros((more, self.genomes.shape[1]))])
        self._sums = np.vstack([self._sums.reshape(-1, measures), np.zeros((more, measures))])
        self.counts = np.append(self.counts, np.zeros(more, dtype=np.intp))
        self.numbers = np.append(self.numbers, np.zeros(more, dtype=np.intp))

    @property
    def means(self) -> Genomes:
        """The mean of each value over all that a genome was told: (n, measures), NaN for none."""
        told = np.where(self.counts > 0, self.counts, 1)[:, None]
        return np.where(self.counts[:, None] > 0, self._sums / told, np.nan)

    @property
    def fine(self) -> Numbers:
        """The places of those that did not always fail."""
        return np.flatnonzero(self.counts > 0)

    def due(self, pool: Numbers, size: int) -> Numbers:
        """Return who of a pool should be asked again: up to `size` places.

        Nobody while the items stay the same, which would say nothing new. Else those that were
        told the least, of equals the first in the pool.
        """
        if not self.changing:
            return pool[:0]
        unsure = pool[self.counts[pool] < ENOUGH]
        return unsure[np.argsort(self.counts[unsure], kind="stable")][:size]

    def proven(self, pool: Numbers) -> Numbers:
        """Return those of a pool that were told more than once, or all if nobody was."""
        twice = pool[self.counts[pool] > 1]
        return twice if len(twice) else pool


def values(details: Details, names: Sequence[str]) -> Genomes:
    """Return what was measured of a generation: (population, names), NaN for failures.

    Raises:
        ConfigError: one of the names was not measured.
    """
    missing = [name for name in names if name not in details.values]
    if missing:
        raise ConfigError(
            f"this optimizer must be told {missing[0]}, and was told "
            f"{', '.join(details.values) or 'fitness alone'}; set the measures or objectives of "
            "optimizer"
        )
    return np.array([details.values[name] for name in names], dtype=np.float64).T
