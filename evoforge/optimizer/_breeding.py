"""Breeding from an archive: the starts, those asked again, and children of pairs.

What the searches for several goals share. Who is a parent, and who is kept, is theirs to say.
"""

from collections.abc import Callable

import numpy as np

from evoforge.optimizer._genes import Numbers
from evoforge.optimizer._start import Start
from evoforge.optimizer._tellings import Tellings
from evoforge.optimizer._variation import Variation, share
from evoforge.optimizer.base import Genomes
from evoforge.origin import Origin
from evoforge.space import Space

# No child is a copy of one of so many genomes that were asked last.
RECENT = 200


class Breeding:
    """Generations of starts, of those asked again, and of children.

    Args:
        space: what is searched.
        generator: of random numbers; advanced by every call.
        children: what makes children of pairs.
        again: the share of a generation that was asked before and is asked again, while the items
            change from one generation to the next.
        spread: of the first genomes: standard deviation around the space's start, as a share of
            every range; None for even draws.

    Attributes:
        tellings: what was told of each genome, by its place.

    Raises:
        ConfigError: an option makes no sense.
    """

    def __init__(
        self,
        space: Space,
        generator: np.random.Generator,
        children: Variation,
        *,
        again: float,
        spread: float | None,
    ) -> None:
        share("again", again)
        self._start = Start(space, generator, spread)
        self._children, self._again = children, again
        self.tellings = Tellings(space.dim)

    def generation(
        self, size: int, pool: Numbers, pairs: Callable[[int], Numbers]
    ) -> tuple[Genomes, tuple[Origin, ...]]:
        """Return a generation, (size, dim), and where its genomes come from.

        Args:
            size: of the generation.
            pool: places of who may be asked again, the most wanted first; without any the search
                is at its beginning.
            pairs: draws so many pairs of parents: (n, 2) places.
        """
        genomes, origins = self._generation(size, pool, pairs)
        self.tellings.ask(genomes)
        return genomes, origins

    def _generation(
        self, size: int, pool: Numbers, pairs: Callable[[int], Numbers]
    ) -> tuple[Genomes, tuple[Origin, ...]]:
        if not len(pool):
            return self._start.genomes(size)
        genomes, origins = self._start.given(size)
        room = size - len(genomes)
        repeated = self.tellings.due(pool, min(room, round(self._again * size)))
        parents = pairs(room - len(repeated))
        known, numbers = self.tellings.genomes, self.tellings.numbers
        recent = np.concatenate([known[-RECENT:], self.tellings.waiting])
        born, said = self._children.children(
            known[parents[:, 0]], known[parents[:, 1]], numbers[parents], recent
        )
        elites = tuple(Origin("elite", (int(numbers[place]),)) for place in repeated)
        return np.concatenate([genomes, known[repeated], born]), (*origins, *elites, *said)
