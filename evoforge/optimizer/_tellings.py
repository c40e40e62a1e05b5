"""What was told of each genome, over all generations in which it was asked.

Fitness is noisy: each generation may answer other items, and whoever leads was lucky too. So the
good are asked again, and what counts is the mean over all that they were told.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer._genes import Numbers
from evoforge.optimizer._open import Open
from evoforge.optimizer.base import NOTHING, Details, Genomes
from evoforge.space import Genome

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
        changing: whether the items of the last two generations are known and differ, so that who
            is asked again is told something new.
    """

    def __init__(self, dim: int) -> None:
        self._places: dict[bytes, int] = {}
        self._sums = np.empty((0, 0))
        self._items = Items()
        self._open: Open[Genome] = Open()
        self.genomes: Genomes = np.empty((0, dim))
        self.counts: Numbers = np.empty(0, dtype=np.intp)
        self.numbers: Numbers = np.empty(0, dtype=np.intp)

    @property
    def changing(self) -> bool:
        """See the class."""
        return self._items.change is True

    @property
    def waiting(self) -> Genomes:
        """Genomes that were asked and are not told yet: (n, dim)."""
        return np.reshape(self._open.memories, (-1, self.genomes.shape[1]))

    def ask(self, genomes: Genomes) -> None:
        """Take note of genomes that are asked now."""
        self._open.ask(genomes)

    def __len__(self) -> int:
        return len(self._places)

    def tell(self, genomes: Genomes, values: Genomes, details: Details = NOTHING) -> Numbers:
        """Add genomes that were asked; return their places: (population,).

        Args:
            genomes: (population, dim), as asked.
            values: (population, measures), NaN in the row of a failure.
            details: who they are, and which items they answered.
        """
        known = len(self)
        numbers, _ = self._open.tell(len(genomes), details)
        keys = [_key(genome) for genome in genomes]
        for key in keys:
            self._places.setdefault(key, len(self))
        places = np.array([self._places[key] for key in keys], dtype=np.intp)
        self._grow(len(self) - known, values.shape[1])
        self.genomes[places] = genomes
        np.maximum.at(self.numbers, places, numbers)
        fine = np.isfinite(values).all(axis=1)
        np.add.at(self._sums, places[fine], values[fine])
        np.add.at(self.counts, places[fine], 1)
        self._items.see(details)
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
        told the least, of equals the first in the pool; nobody who is asked again already.
        """
        if not self.changing:
            return pool[:0]
        asked = [self._places.get(_key(genome), -1) for genome in self._open.memories]
        unsure = pool[(self.counts[pool] < ENOUGH) & ~np.isin(pool, asked)]
        return unsure[np.argsort(self.counts[unsure], kind="stable")][:size]

    def proven(self, pool: Numbers) -> Numbers:
        """Return those of a pool that were told more than once, or all if nobody was."""
        twice = pool[self.counts[pool] > 1]
        return twice if len(twice) else pool


class Items:
    """Whether the items change on which genomes are judged.

    Attributes:
        change: between those told last and those told before; None for not known.
    """

    def __init__(self) -> None:
        self.change: bool | None = None
        self._before: frozenset[str] = frozenset()

    def see(self, details: Details) -> None:
        """Take note of what those who are told were judged on."""
        now = frozenset(filter(None, details.sets))
        several = len(now | self._before) > 1
        self.change = several if now and (self._before or several) else None
        self._before = now


def _key(genome: Genome) -> bytes:
    # A digest, not the genome itself: of 4,288 genes that is 34 kB, and one copy is enough.
    return blake2b(genome.tobytes(), digest_size=16).digest()


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
