"""Dealing out items to generations, so that all are used before any is used again."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evoforge.errors import ConfigError
from evoforge.task.base import Item

log = logging.getLogger(__name__)


class Deal:
    """Hands of `size` items: shuffled, dealt out until too few are left, then shuffled anew.

    Common items are worth a doubling of the budget; rotation keeps a search from learning them by
    heart. Where items are of several tasks, each is dealt by itself, and a hand holds as many of
    each as it can.

    Args:
        items: what is dealt.
        size: of a hand; all items if there are fewer.
        seed: of the shuffling.

    Raises:
        ConfigError: `size` is less than one, or than the number of tasks.
    """

    def __init__(self, items: Sequence[Item], size: int, seed: int) -> None:
        strata: dict[str, list[Item]] = {}
        for item in items:
            strata.setdefault(item.stratum, []).append(item)
        if size < len(strata):
            least = "the number of tasks, " if len(strata) > 1 else ""
            raise ConfigError(
                f"size must be at least {least}{len(strata)}, got {size}; set fitness.size"
            )
        if size > len(items):
            log.warning("there are %d search items for fitness.size=%d: all", len(items), size)
        self.size = min(size, len(items))
        self._items = tuple(items)
        counts = _shares([len(some) for some in strata.values()], self.size)
        self._piles = [
            _Pile(tuple(some), count, [seed, *([place] if place else [])])
            for place, (some, count) in enumerate(zip(strata.values(), counts, strict=True))
        ]

    def hand(self, number: int) -> tuple[Item, ...]:
        """Return a hand's items as they were dealt: any first part of them is a fair sample.

        Args:
            number: of the hand, counted from 0.
        """
        dealt = [pile.deal(number) for pile in self._piles]
        rounds = max(map(len, dealt))
        return tuple(some[i] for i in range(rounds) for some in dealt if i < len(some))

    def in_order(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """Return some of the items in the order of the task."""
        wanted = {item.id for item in items}
        return tuple(item for item in self._items if item.id in wanted)


@dataclass(frozen=True)
class _Pile:
    """Items of one task, and how many of them a hand gets."""

    items: tuple[Item, ...]
    count: int
    seed: Sequence[int]

    def deal(self, number: int) -> list[Item]:
        deals = len(self.items) // self.count
        shuffle = np.random.default_rng([*self.seed, number // deals])
        order = shuffle.permutation(len(self.items))
        start = number % deals * self.count
        return [self.items[i] for i in order[start : start + self.count]]


def _shares(sizes: Sequence[int], total: int) -> list[int]:
    """Return how many items of each pile make a hand: as even as the piles allow."""
    shares = [0] * len(sizes)
    while (left := total - sum(shares)) > 0:
        open_ones = [i for i, size in enumerate(sizes) if shares[i] < size]
        # What does not divide goes to the first ones.
        for i in open_ones if left >= len(open_ones) else open_ones[:left]:
            shares[i] = min(sizes[i], shares[i] + max(1, left // len(open_ones)))
    return shares
