"""Variation: what makes children of parents, the same options for every optimizer that breeds.

Knows genes and their kinds; does not know fitness. Who is a parent is said by `_selection`.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer._crossover import CROSSOVERS, apart, crossed
from evoforge.optimizer._genes import Genes, Mask, Numbers
from evoforge.optimizer._mutation import MUTATIONS, mutated
from evoforge.optimizer.base import Genomes
from evoforge.origin import Origin
from evoforge.space import Space

# A crossover of an optimizer's own: unfinished children of (n, dim) first and second parents.
Cross = Callable[[Genes, Genomes, Genomes, np.random.Generator], Genomes]

# A copy that mutates may become another one. In small spaces of few values all is known at last.
TRIES = 10


class Variation:
    """Crossover, then mutation, with a generator that belongs to the optimizer.

    Numbers (linear, log, integer) take part in everything. Choices and binaries are exchanged
    whole and mutate to another value, whatever the operators do with numbers. A child that
    would be the copy of a parent, or of a sibling, mutates in one gene at least, so no evaluation
    is spent on it twice; copies are left only where `mutation` is `none`.

    Args:
        space: what is searched.
        generator: of random numbers; advanced by every call.
        own: crossovers beside those here, by name.
        crossover: `uniform`, each gene from either parent; `one_point`, the first parent's layers
            up to a border, the second's from there; `sbx`, `blx`, numbers between or around the
            parents'; `none`.
        crossover_rate: the chance that a pair is crossed; else the first parent alone is mutated.
        crossover_eta: of `sbx`: the larger, the nearer to a parent.
        alpha: of `blx`: how far beyond the parents, in their distances.
        mutation: `gaussian`, `polynomial`, steps of numbers; `reset`, numbers drawn anew; `flip`,
            choices and binaries alone; `none`.
        mutation_rate: the chance of each gene; None for one gene of a genome on average.
        sigma: of `gaussian`: standard deviation, as a share of every range.
        mutation_eta: of `polynomial`: the larger, the smaller the steps.

    Raises:
        ConfigError: an option makes no sense.
    """

    def __init__(
        self,
        space: Space,
        generator: np.random.Generator,
        own: Mapping[str, Cross] | None = None,
        *,
        crossover: str = "uniform",
        crossover_rate: float = 0.9,
        crossover_eta: float = 5.0,
        alpha: float = 0.4,
        mutation: str = "gaussian",
        mutation_rate: float | None = None,
        sigma: float = 0.1,
        mutation_eta: float = 20.0,
    ) -> None:
        own = own or {}
        one_of("crossover", crossover, (*own, *CROSSOVERS))
        one_of("mutation", mutation, MUTATIONS)
        share("crossover_rate", crossover_rate)
        share("mutation_rate", 1 / space.dim if mutation_rate is None else mutation_rate)
        at_least_0("crossover_eta", crossover_eta)
        at_least_0("mutation_eta", mutation_eta)
        at_least_0("alpha", alpha)
        if not 0 < sigma <= 1:
            raise ConfigError(f"sigma must be in (0, 1], got {sigma}; set optimizer.sigma")
        self.genes = Genes(space)
        if mutation == "flip" and self.genes.numeric.all():
            raise ConfigError(
                "mutation=flip changes choices and binaries, of which this space has none; "
                "set optimizer.mutation"
            )
        self._generator = generator
        self._crossover, self._crossover_rate = crossover, crossover_rate
        self._own = own.get(crossover)
        self._of_crossover = {"eta": crossover_eta, "alpha": alpha}
        self._mutation = mutation
        self._mutation_rate = 1 / space.dim if mutation_rate is None else mutation_rate
        self._of_mutation = {"sigma": sigma, "eta": mutation_eta}

    def children(
        self,
        first: Genomes,
        second: Genomes,
        numbers: Numbers | Sequence[tuple[int, int]],
        known: Genomes | None = None,
    ) -> tuple[Genomes, tuple[Origin, ...]]:
        """Return one child of each pair of parents, and where it comes from.

        Args:
            first: (n, dim) one parent of each.
            second: (n, dim) the other; it may be the same.
            numbers: (n, 2) of the parents, in the order in which the optimizer asked them.
            known: (m, dim) genomes beside the parents that no child should be a copy of.
        """
        first, second = self.genes.settled(first), self.genes.settled(second)
        others = np.empty((0, first.shape[1])) if known is None else self.genes.settled(known)
        born, both = self._crossed(first, second)
        born, changed = self._mutated(born, np.concatenate([first, second, others]))
        origins = [
            self._origin(bool(pair), bool(genes), parents)
            for pair, genes, parents in zip(both.tolist(), changed.tolist(), numbers, strict=True)
        ]
        return born, tuple(origins)

    def _mutated(self, born: Genomes, known: Genomes) -> tuple[Genomes, Mask]:
        """Return children after mutation: (n, dim), and which of them it changed: (n,)."""
        changed: Mask = np.zeros(len(born), dtype=bool)
        if self._mutation == "none":
            return born, changed
        rate, forced = self._mutation_rate, changed
        for _ in range(TRIES):
            born, genes = mutated(
                self._mutation, self.genes, born, rate, forced, self._generator, **self._of_mutation
            )
            changed = changed | genes.any(axis=1)
            rate, forced = 0.0, repeated(known, born)
            if not forced.any():
                break
        return born, changed

    def _crossed(self, first: Genomes, second: Genomes) -> tuple[Genomes, Mask]:
        """Return children before mutation: (n, dim), and which of them have two parents: (n,)."""
        if self._crossover == "none":
            return first, np.zeros(len(first), dtype=bool)
        lucky = self._generator.random(len(first)) < self._crossover_rate
        both: Mask = lucky & apart(first, second)
        if self._own is not None:
            mixed = self._own(self.genes, first, second, self._generator)
            born = self.genes.settled(np.clip(mixed, 0, 1))
        else:
            born = crossed(
                self._crossover, self.genes, first, second, self._generator, **self._of_crossover
            )
        return np.where(both[:, None], born, first), both

    def _origin(self, both: bool, changed: bool, parents: Sequence[int]) -> Origin:
        names = [self._crossover] * both + [self._mutation] * changed
        one, other = map(int, parents)
        return Origin("+".join(names) or "copy", (one, other) if both else (one,))


def repeated(known: Genomes, born: Genomes) -> Mask:
    """Return which genomes are among the known, or among those of their own before them: (n,)."""
    _, places = np.unique(np.concatenate([known, born]), axis=0, return_index=True)
    new = np.zeros(len(known) + len(born), dtype=bool)
    new[places] = True
    return np.asarray(~new[len(known) :])


def one_of(option: str, given: str, known: Sequence[str]) -> None:
    """Refuse what is not one of the known.

    Raises:
        ConfigError: it is not.
    """
    if given not in known:
        raise ConfigError(
            f"{option} must be one of {', '.join(known)}, got {given}; set optimizer.{option}"
        )


def share(option: str, given: float) -> None:
    """Refuse what is no share.

    Raises:
        ConfigError: it is not in [0, 1].
    """
    if not 0 <= given <= 1:
        raise ConfigError(f"{option} must be in [0, 1], got {given}; set optimizer.{option}")


def at_least_0(option: str, given: float) -> None:
    """Refuse what is negative or no number.

    Raises:
        ConfigError: it is.
    """
    if not 0 <= given < math.inf:
        raise ConfigError(f"{option} must be at least 0, got {given}; set optimizer.{option}")
