"""Breeding from an archive: the starts, those asked again, and children of pairs.

What the searches for several goals share. Who is a parent, and who is kept, is theirs to say.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from evoforge.optimizer._crossover import CROSSOVERS, apart
from evoforge.optimizer._genes import Genes, Mask, Numbers
from evoforge.optimizer._mutation import mutated
from evoforge.optimizer._start import Start
from evoforge.optimizer._tellings import Tellings
from evoforge.optimizer._variation import Variation, one_of, repeated, share
from evoforge.optimizer.base import Genomes
from evoforge.origin import Origin
from evoforge.space import Space

# No child is a copy of one of so many genomes that were asked last.
RECENT = 200

# Unfinished children of (n, dim) first and second parents.
Cross = Callable[[Genes, Genomes, Genomes, np.random.Generator], Genomes]


class Children(Protocol):
    """What makes children of pairs, see `Variation.children`."""

    def children(
        self, first: Genomes, second: Genomes, numbers: Numbers, known: Genomes
    ) -> tuple[Genomes, tuple[Origin, ...]]:
        """Return one child of each pair of parents, and where it comes from."""
        ...


class OwnCrossover:
    """A crossover that one optimizer has for itself, and the mutation that all have.

    Args:
        space: what is searched.
        generator: of random numbers; advanced by every call.
        name: of the crossover.
        cross: makes the unfinished children.
        crossover_rate: the chance that a pair is crossed.
        mutation: see `Variation`, as all options below.
        mutation_rate: the chance of each gene.
        sigma: of `gaussian`.
        mutation_eta: of `polynomial`.
    """

    def __init__(
        self,
        space: Space,
        generator: np.random.Generator,
        name: str,
        cross: Cross,
        *,
        crossover_rate: float,
        mutation: str,
        mutation_rate: float,
        sigma: float,
        mutation_eta: float,
    ) -> None:
        self._genes, self._generator = Genes(space), generator
        self._name, self._cross, self._rate = name, cross, crossover_rate
        self._mutation, self._mutation_rate = mutation, mutation_rate
        self._of_mutation = {"sigma": sigma, "eta": mutation_eta}

    def children(
        self, first: Genomes, second: Genomes, numbers: Numbers, known: Genomes
    ) -> tuple[Genomes, tuple[Origin, ...]]:
        """Return one child of each pair of parents, and where it comes from."""
        first, second = self._genes.settled(first), self._genes.settled(second)
        lucky = self._generator.random(len(first)) < self._rate
        both: Mask = lucky & apart(first, second)
        mixed = self._cross(self._genes, first, second, self._generator)
        born = np.where(both[:, None], self._genes.settled(np.clip(mixed, 0, 1)), first)
        others = self._genes.settled(known)
        copies = repeated(np.concatenate([first, second, others]), born)
        changed = np.zeros(born.shape, dtype=bool)
        if self._mutation != "none":
            born, changed = mutated(
                self._mutation,
                self._genes,
                born,
                self._mutation_rate,
                copies,
                self._generator,
                **self._of_mutation,
            )
        pairs = zip(map(bool, both), map(bool, np.any(changed, axis=1)), numbers, strict=True)
        return born, tuple(self._origin(b, c, n) for b, c, n in pairs)

    def _origin(self, both: bool, changed: bool, parents: Numbers) -> Origin:
        names = [self._name] * both + [self._mutation] * changed
        one, other = map(int, parents)
        return Origin("+".join(names) or "copy", (one, other) if both else (one,))


def variation(
    space: Space,
    generator: np.random.Generator,
    own: Mapping[str, Cross] | None = None,
    *,
    crossover: str,
    crossover_rate: float,
    crossover_eta: float,
    alpha: float,
    mutation: str,
    mutation_rate: float | None,
    sigma: float,
    mutation_eta: float,
) -> Children:
    """Return what makes children, by `Variation` or by a crossover of the optimizer's own.

    Args:
        space: what is searched.
        generator: of random numbers.
        own: crossovers beside those of `Variation`, by name.
        crossover: one of both; all options below as in `Variation`.
        crossover_rate: the chance that a pair is crossed.
        crossover_eta: of `sbx`.
        alpha: of `blx`.
        mutation: what changes single genes.
        mutation_rate: the chance of each gene; None for one gene of a genome on average.
        sigma: of `gaussian`.
        mutation_eta: of `polynomial`.

    Raises:
        ConfigError: an option makes no sense.
    """
    mine = own or {}
    one_of("crossover", crossover, [*mine, *CROSSOVERS])
    shared = Variation(
        space,
        generator,
        crossover="none" if crossover in mine else crossover,
        crossover_rate=crossover_rate,
        crossover_eta=crossover_eta,
        alpha=alpha,
        mutation=mutation,
        mutation_rate=mutation_rate,
        sigma=sigma,
        mutation_eta=mutation_eta,
    )
    if crossover not in mine:
        return shared
    return OwnCrossover(
        space,
        generator,
        crossover,
        mine[crossover],
        crossover_rate=crossover_rate,
        mutation=mutation,
        mutation_rate=1 / space.dim if mutation_rate is None else mutation_rate,
        sigma=sigma,
        mutation_eta=mutation_eta,
    )


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
        children: Children,
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
        if not len(pool):
            return self._start.genomes(size)
        genomes, origins = self._start.given(size)
        room = size - len(genomes)
        repeated = self.tellings.due(pool, min(room, round(self._again * size)))
        parents = pairs(room - len(repeated))
        known, numbers = self.tellings.genomes, self.tellings.numbers
        born, said = self._children.children(
            known[parents[:, 0]], known[parents[:, 1]], numbers[parents], known[-RECENT:]
        )
        elites = tuple(Origin("elite", (int(numbers[place]),)) for place in repeated)
        return np.concatenate([genomes, known[repeated], born]), (*origins, *elites, *said)
