"""Where a search that breeds begins: the given starts, then draws around the space's start."""

import numpy as np
from scipy.special import ndtri

from evoforge.errors import ConfigError
from evoforge.optimizer._genes import Genes, reflected
from evoforge.optimizer.base import Genomes
from evoforge.origin import Origin
from evoforge.space import Space

# A draw of 0 would lie infinitely far from the start.
RAREST = 1e-12


class Start:
    """The first genomes of a search, the given starts before all others.

    The others are stratified: of n genomes that are asked together, each of n equal shares of a
    gene's distribution holds one. That is a normal one around the space's start, reflected at the
    bounds; so a binary is 1 with the chance that such a draw is above one half. A choice, whose
    values have no neighbours, is drawn evenly.

    Args:
        space: what is searched.
        generator: of random numbers; advanced by every call.
        spread: standard deviation, as a share of every range; None for even draws from all.

    Raises:
        ConfigError: the spread makes no sense.
    """

    def __init__(
        self, space: Space, generator: np.random.Generator, spread: float | None = None
    ) -> None:
        if spread is not None and not 0 < spread <= 1:
            raise ConfigError(
                f"spread must be in (0, 1], or null for draws from everywhere, got {spread}; "
                "set optimizer.spread"
            )
        self._space, self._generator, self._spread = space, generator, spread
        self._genes = Genes(space)
        self._given = space.given

    @property
    def left(self) -> int:
        """How many given starts were not asked yet."""
        return len(self._given)

    def given(self, size: int) -> tuple[Genomes, tuple[Origin, ...]]:
        """Return at most so many of the given starts that are left: (n, dim)."""
        now, self._given = self._given[:size], self._given[size:]
        return np.array(now), (Origin("start"),) * len(now)

    def genomes(self, size: int) -> tuple[Genomes, tuple[Origin, ...]]:
        """Return so many genomes, (size, dim), and where they come from."""
        given, origins = self.given(size)
        drawn = self._drawn(size - len(given))
        return np.concatenate([given, drawn]), (*origins, *[Origin("sample")] * len(drawn))

    def _drawn(self, size: int) -> Genomes:
        shape = (size, self._space.dim)
        ranks = self._generator.permuted(np.tile(np.arange(size)[:, None], shape[1]), axis=0)
        even = (ranks + self._generator.random(shape)) / max(1, size)
        if self._spread is None:
            return self._genes.settled(even)
        near = reflected(self._space.init + self._spread * ndtri(np.clip(even, RAREST, 1 - RAREST)))
        return self._genes.settled(np.where(self._genes.numeric | self._genes.binary, near, even))
