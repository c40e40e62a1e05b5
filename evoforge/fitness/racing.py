"""Racing: candidates answer more and more items, and those that fall behind answer no more."""

from collections.abc import Mapping, Sequence
from math import inf, isclose, isfinite, sqrt

import numpy as np

from evoforge.errors import ConfigError
from evoforge.fitness._deal import Deal
from evoforge.fitness.base import Course, Fitness, Round
from evoforge.record import Evaluation
from evoforge.space import Genome
from evoforge.task.base import Item

# What who left is below the leader, at least.
LEAST = 1e-9


class Racing(Fitness):
    """Looks at common items; who is surely behind the leader leaves the generation's race.

    Each look is at twice the items of the one before it: a candidate is merged anew for each, so
    there should be few. Every candidate is then compared with the leader item by item. It leaves
    if the leader's mean lead is more than `margin` of its standard errors, unless it is among the
    `keep` best. Where a limit of a suite is broken the lead is that of the scores. The fitness of
    one that left is the leader's final fitness less its lead at that time, if it had one, so that
    all are comparable and nobody wins who left. The items of a generation are dealt out as for
    `subset`.

    Args:
        items: the search part of the task.
        size: items of a candidate that stays to the end; all if there are fewer.
        block: items of the first look.
        margin: standard errors.
        keep: the share of a generation, in (0, 1], that stays whatever happens; an optimizer that
            ranks the better half wants their order.
        seed: of the shuffling.

    Raises:
        ConfigError: an option makes no sense.

    Reference: Maron and Moore 1994, Hoeffding races, https://doi.org/10.5555/2987189.2987197
    """

    def __init__(
        self,
        items: Sequence[Item],
        *,
        size: int = 128,
        block: int = 16,
        margin: float = 2.5,
        keep: float = 0.25,
        seed: int = 0,
    ) -> None:
        super().__init__(items)
        if not 1 <= block <= size:
            raise ConfigError(
                f"block must be in [1, {size}], the size of a race, got {block}; "
                "set fitness.block or fitness.size"
            )
        if not margin > 0:
            raise ConfigError(f"margin must be above 0, got {margin}; set fitness.margin")
        if not 0 < keep <= 1:
            raise ConfigError(f"keep must be in (0, 1], got {keep}; set fitness.keep")
        self.size, self.block, self.margin, self.keep = size, block, margin, keep
        self._deal = Deal(self.all, size, seed)

    def course(self, generation: int, population: int) -> Course:
        """Return a round for each look, as long as it takes."""
        hand = self._deal.hand(generation)
        ends = [self.block]
        while ends[-1] < len(hand):
            ends.append(2 * ends[-1])
        ends[-1] = len(hand)
        least = max(1, round(self.keep * population))
        racing = list(range(population))
        # By number of items: what each candidate in the race had then.
        seen: dict[int, Mapping[int, Evaluation]] = {}
        for end in ends:
            items = self._deal.in_order(hand[:end])
            found = yield Round(dict.fromkeys(racing, items), last=end == len(hand))
            seen[end] = {position: found[position] for position in racing}
            if end == len(hand):
                break
            racing = self._staying(seen[end], least)
            if not racing:
                break
        return _fitness(seen, population)

    def _staying(self, found: Mapping[int, Evaluation], least: int) -> list[int]:
        """Return who goes on: the best, and all that are not surely behind."""
        ok = [position for position, one in found.items() if one.status == "ok"]
        # Sorting is stable: of equals, the one asked first.
        ranked = sorted(ok, key=lambda position: -found[position].fitness)
        staying = ranked[:least]
        staying += [p for p in ranked[least:] if not self._behind(found[p], found[ranked[0]])]
        return sorted(staying)

    def _behind(self, one: Evaluation, leader: Evaluation) -> bool:
        pairs = zip(leader.results, one.results, strict=True)
        differences = np.array([a.score - b.score for a, b in pairs])
        weights = np.array(leader.weights or [1 / len(differences)] * len(differences))
        mean = float(weights @ differences)
        lead = leader.fitness - one.fitness
        if not isclose(lead, abs(mean), abs_tol=1e-9):
            # A limit of a suite is broken. Few items tell badly by how much, and their luck has no
            # standard error here, so the scores decide who leaves.
            lead = mean
        return lead > 0 and lead > self.margin * _error(differences, weights)


def _error(differences: Genome, weights: Genome) -> float:
    """Return the standard error of a weighted mean: (n,) each, weights sum to 1."""
    count = int((weights > 0).sum())
    if count < 2:
        return inf
    apart = weights * (differences - weights @ differences)
    return sqrt(count / (count - 1) * float(apart @ apart))


def _fitness(seen: Mapping[int, Mapping[int, Evaluation]], population: int) -> Genome:
    """Return comparable fitness: (population,), -inf for failures."""
    final = list(seen.values())[-1]
    alive = [p for p, one in final.items() if one.status == "ok"]
    fitness = np.full(population, -inf)
    if not alive:
        return fitness
    leader = max(alive, key=lambda position: final[position].fitness)
    for found in seen.values():  # the last one that a candidate took part in counts
        for position, one in found.items():
            lead = found[leader].fitness - one.fitness
            if found is not final:
                lead = max(lead, LEAST)  # who wins in the end can have been behind it
            fitness[position] = final[leader].fitness - lead if isfinite(lead) else -inf
    return fitness
