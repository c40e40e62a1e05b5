"""What every optimizer is: ask and tell in the unit cube, with its own random generator.

Optimizers see vectors, never models.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evoforge.origin import Origin as Origin
from evoforge.space import Genome, Param, Space

Genomes = NDArray[np.float64]


@dataclass(frozen=True)
class Details:
    """What evaluations say beside fitness, for the optimizers that ask for it.

    Args:
        values: what was measured: name -> (population,), NaN for a failure.
        tasks: which of these names are tasks of several that are judged together.
        items: (population, items) the score of each item, higher is better, NaN where it was not
            answered; None unless the optimizer asked `per_item`.
        ids: (items,) what the columns are.
        sets: (population,) which set of items each was judged on, by a hash; empty for not known.
            Failures, and those that a proxy alone has judged, say nothing: an empty text.
        numbers: (population,) of the genomes, in the order in which the optimizer asked them, from
            0; empty for those that were asked first of all that are not told yet.
    """

    values: Mapping[str, Genome] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    items: Genomes | None = None
    ids: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()


NOTHING = Details()


class Optimizer(ABC):
    """A search that only asks and is told. The same seed asks the same, whatever else runs.

    Args:
        space: what is searched, and where it starts: `space.given` must be asked first.
        population: genomes asked at a time.

    Attributes:
        population: genomes of the next `ask`; it may change after a `tell`.
        origins: where each of the genomes asked last comes from: as many, or none. Parents are
            numbers of genomes in the order in which this optimizer asked them, from 0.
        measures: names of what the optimizer wants to be told beside fitness, see
            `evoforge.measured`; None for everything that there is.
        per_item: whether it wants to be told the score of every item.
        steady: whether it may be asked again before it was told, and told any genomes that were
            asked and are not told yet, as many as `population` or fewer, named by their numbers.
    """

    origins: tuple[Origin, ...] = ()
    measures: tuple[str, ...] | None = ()
    per_item: bool = False
    steady: ClassVar[bool] = False

    def __init__(self, space: Space, population: int) -> None:
        self.space = space
        self.population = population

    @abstractmethod
    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim) float64 in [0, 1]."""

    @abstractmethod
    def tell(self, genomes: Genomes, fitness: Genome, details: Details = NOTHING) -> None:
        """Say how good genomes are: those asked last, or those that the details number.

        Args:
            genomes: (population, dim), as asked.
            fitness: (population,), higher is better; -inf for a failure, at least one finite.
            details: what was asked for by `measures` and `per_item`, and who is told.

        Raises:
            ConfigError: it wants to be told what these evaluations do not say.
        """

    def recommend(self) -> Genomes:
        """Return the genomes the search believes in beside those it asked: (n, dim), n from 0."""
        return np.empty((0, self.space.dim))

    @property
    def facts(self) -> dict[str, Any]:
        """What reports should know of the search as it stands after the last `tell`, as JSON."""
        return {}


def finite(fitness: Genome) -> Genome:
    """Return fitness with failures a little worse than the worst success.

    Raises:
        ValueError: all failed.
    """
    fine = fitness[np.isfinite(fitness)]
    if not len(fine):
        raise ValueError("every candidate failed; there is nothing to learn from")
    spread = float(fine.max() - fine.min())
    return np.where(np.isfinite(fitness), fitness, fine.min() - max(spread, 1e-3))


def counts(space: Space) -> Genome:
    """Return how many values each gene can stand for: (dim,), 1 for those of a whole range."""
    return np.array([_count(param) for param in space.params], dtype=np.float64)


def _count(param: Param) -> int:
    discrete = param.kind in ("integer", "choice", "binary")
    return round(param.high - param.low) + 1 if discrete else 1
