"""Selection: who of those that were judged become parents.

Knows fitness alone. What failed is chosen only where nothing else is there.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer._genes import Numbers
from evoforge.space import Genome

SELECTIONS = ("tournament", "rank", "roulette", "truncation")

Selection = Callable[[Genome, int, np.random.Generator], Numbers]


def selection(
    name: str, *, tournament_size: int = 2, pressure: float = 1.5, kept: float = 0.5
) -> Selection:
    """Return what draws parents: `draw(fitness, size, generator)` -> (size,) indices.

    Args:
        name: `tournament`, `rank`, `roulette` or `truncation`.
        tournament_size: of `tournament`: how many are compared.
        pressure: of `rank`: how often the best is drawn, where 1 is the average; in [1, 2].
        kept: of `truncation`: the share of the best, who are all drawn alike.

    Raises:
        ConfigError: an option makes no sense.
    """
    if name not in SELECTIONS:
        raise ConfigError(
            f"selection must be one of {', '.join(SELECTIONS)}, got {name}; set optimizer.selection"
        )
    if tournament_size < 1:
        raise ConfigError(
            f"tournament_size must be at least 1, got {tournament_size}; "
            "set optimizer.tournament_size"
        )
    if not 1 <= pressure <= 2:
        raise ConfigError(f"pressure must be in [1, 2], got {pressure}; set optimizer.pressure")
    if not 0 < kept <= 1:
        raise ConfigError(f"kept must be in (0, 1], got {kept}; set optimizer.kept")
    draw: Selection = {
        "tournament": partial(tournament, entrants=tournament_size),
        "rank": partial(_by_chance, chances=partial(rank_chances, pressure=pressure)),
        "roulette": partial(_by_chance, chances=roulette_chances),
        "truncation": partial(_by_chance, chances=partial(truncation_chances, kept=kept)),
    }[name]
    return partial(_of_successes, draw=draw)


def _of_successes(
    fitness: Genome, size: int, generator: np.random.Generator, draw: Selection
) -> Numbers:
    fine = np.flatnonzero(np.isfinite(fitness))
    if not len(fine):
        return generator.integers(len(fitness), size=size)
    return np.asarray(fine[draw(fitness[fine], size, generator)])


def tournament(
    fitness: Genome, size: int, generator: np.random.Generator, entrants: int = 2
) -> Numbers:
    """Return winners among so many different entrants drawn evenly each time: (size,).

    Args:
        fitness: (n,).
        size: how many winners.
        generator: of random numbers.
        entrants: how many are compared; at most all are.
    """
    entrants = min(entrants, len(fitness))
    drawn = generator.random((size, len(fitness))).argsort(axis=1)[:, :entrants]
    # Equals are in a random order already, so the first of them is as good as any.
    best = fitness[drawn].argmax(axis=1)
    return np.asarray(drawn[np.arange(size), best])


def rank_chances(fitness: Genome, pressure: float) -> Genome:
    """Return chances that fall evenly from the best, `pressure` / n, to the worst: (n,).

    The worst gets (2 - pressure) / n, and equals get the mean of their ranks' chances.

    Reference:
        Baker 1985, Adaptive Selection Methods for Genetic Algorithms (ICGA 1).
    """
    if len(fitness) == 1:
        return np.ones(1)
    above = (fitness[:, None] > fitness).sum(axis=1)
    equal = (fitness[:, None] == fitness).sum(axis=1) - 1
    rank = (above + equal / 2) / (len(fitness) - 1)
    return np.asarray((2 - pressure + 2 * (pressure - 1) * rank) / len(fitness))


def roulette_chances(fitness: Genome) -> Genome:
    """Return chances in proportion to how much better than the worst one is: (n,).

    Reference:
        Holland 1975, Adaptation in Natural and Artificial Systems; the worst is taken off
        because fitness has no natural zero.
    """
    lead = fitness - fitness.min()
    total = lead.sum()
    return np.asarray(lead / total) if total > 0 else np.full(len(fitness), 1 / len(fitness))


def truncation_chances(fitness: Genome, kept: float) -> Genome:
    """Return equal chances for the best share, at least one, and none for the others: (n,)."""
    best = np.argsort(-fitness, kind="stable")[: max(1, round(kept * len(fitness)))]
    chances = np.zeros(len(fitness))
    chances[best] = 1 / len(best)
    return chances


def _by_chance(
    fitness: Genome,
    size: int,
    generator: np.random.Generator,
    chances: Callable[[Genome], Genome],
) -> Numbers:
    """Draw as universal sampling does: nobody more or less often than its chance says, by one.

    Reference:
        Baker 1987, Reducing Bias and Inefficiency in the Selection Algorithm (ICGA 2).
    """
    marks = (generator.random() + np.arange(size)) / size
    found = np.searchsorted(np.cumsum(chances(fitness)), marks, side="right")
    # The last sum may be 1 less a rounding error.
    return np.asarray(generator.permutation(np.minimum(found, len(fitness) - 1)))
