"""A cheap look at all candidates first; the best of them answer."""

from collections.abc import Mapping, Sequence

import numpy as np

from evoforge.errors import ConfigError
from evoforge.fitness._deal import Deal
from evoforge.fitness.base import Course, Fitness, Round
from evoforge.record import Evaluation
from evoforge.space import Genome
from evoforge.task.base import Item


class ProxyThenFull(Fitness):
    """The task's proxy screens a generation, and the best share of it is judged on the task.

    A proxy (see `task.proxy`) is how likely a model finds gold texts: one pass instead of an answer
    token by token, and smooth where accuracy is a step. The fitness of those that were screened
    out lies below that of all others, in the proxy's order. The items of a generation are dealt
    out as for `subset`; the proxy looks at the same ones, or at the first `screen` of them.

    Args:
        items: the search part of the task.
        size: items that the best answer; all if there are fewer.
        screen: items that the proxy looks at; None for `size`.
        promote: the share of a generation, in (0, 1], that answers; at least one candidate.
        seed: of the shuffling.

    Raises:
        ConfigError: an option makes no sense.
    """

    def __init__(
        self,
        items: Sequence[Item],
        *,
        size: int = 128,
        screen: int | None = None,
        promote: float = 0.25,
        seed: int = 0,
    ) -> None:
        super().__init__(items)
        if screen is not None and not 1 <= screen <= size:
            raise ConfigError(
                f"screen must be in [1, {size}], the size of a generation's set, got {screen}; "
                "set fitness.screen"
            )
        if not 0 < promote <= 1:
            raise ConfigError(f"promote must be in (0, 1], got {promote}; set fitness.promote")
        self.size, self.promote = size, promote
        self.screen = size if screen is None else screen
        self._deal = Deal(self.all, size, seed)

    @property
    def uses_proxy(self) -> bool:
        """The first round asks it."""
        return True

    def course(self, generation: int, population: int) -> Course:
        """Return the proxy's round, and the task's."""
        hand = self._deal.hand(generation)
        looked_at = self._deal.in_order(hand[: self.screen])
        screened = yield Round(dict.fromkeys(range(population), looked_at), proxy=True)
        ok = [p for p in range(population) if screened[p].status == "ok"]
        # Sorting is stable: of equals, the one asked first.
        ranked = sorted(ok, key=lambda position: -screened[position].fitness)
        count = max(1, round(self.promote * population))
        promoted, rest = sorted(ranked[:count]), ranked[count:]
        judged: Mapping[int, Evaluation] = {}
        if promoted:
            items = self._deal.in_order(hand)
            judged = yield Round(dict.fromkeys(promoted, items), last=True)
        return _fitness(judged, promoted, rest, population)


def _fitness(
    judged: Mapping[int, Evaluation],
    promoted: Sequence[int],
    rest: Sequence[int],
    population: int,
) -> Genome:
    """Return the fitness of a generation: (population,), -inf for failures."""
    fitness = np.full(population, -np.inf)
    for position in promoted:
        fitness[position] = judged[position].fitness
    known = fitness[np.isfinite(fitness)]
    least = float(known.min()) if known.size else 0.0
    # Steps of the size that those above have, so that selection by value sees no cliff.
    step = float(np.ptp(known)) / known.size if known.size > 1 else 0.0
    for place, position in enumerate(rest, start=1):
        fitness[position] = least - place * max(step, 1e-3)
    return fitness
