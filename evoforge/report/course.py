"""How the genes of a stage moved: their means by generation, and where the winner's lie.

Knows histories and arrays; draws nothing. Genomes are read once, a generation at a time, so that
thousands of genes of thousands of candidates fit into memory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evoforge.path import Hop, hops
from evoforge.record import Record
from evoforge.report.history import Floats, History, parse, values, winner

SLOT = re.compile(r"pass([0-9]+)_layer([0-9]+)")
INSIDE, SCALE = "in", "scale"


@dataclass(frozen=True)
class Course:
    """The genes of one stage.

    Args:
        names: (dim,) the genes.
        low: (dim,) their bounds.
        high: (dim,) their bounds.
        means: (generations, dim) of decoded genes. The scale of a slot counts where the slot is
            in the path only; NaN where it never is.
        marked: (dim,) the winner's, None if the winner is not of this stage.
        path: the winner's path, if it has one.
        generations: (generations,) their numbers.
        span: the first and the last evaluation.
    """

    names: tuple[str, ...]
    low: Floats
    high: Floats
    means: Floats
    marked: Floats | None
    path: tuple[Hop, ...]
    generations: tuple[int, ...]
    span: tuple[int, int]

    def pick(self, chosen: Sequence[int] | NDArray[np.intp]) -> Course:
        """Return the course of some of the genes."""
        index = np.array(chosen, dtype=np.intp)
        return replace(
            self,
            names=tuple(self.names[i] for i in index),
            low=self.low[index],
            high=self.high[index],
            means=self.means[:, index],
            marked=None if self.marked is None else self.marked[index],
        )


def course(record: Record, history: History) -> Course:
    """Read the course of a stage that has candidates."""
    parts = history.split()
    scales, slots = _pairs(history.names)
    means = []
    for part in parts:
        numbers = values(record, history, part)
        mean = numbers.mean(axis=0)
        mean[scales] = _mean(numbers[:, scales], numbers[:, slots] > 0.5)
        means.append(mean)
    best = winner(record, history)
    won = None if best is None else values(record, history, np.array([best]))[0]
    if won is not None:
        won[scales] = np.where(won[slots] > 0.5, won[scales], np.nan)
    recipe = None if best is None else record.recipe(history.candidates[best].recipe)
    return Course(
        names=history.names,
        low=np.array(history.info["low"], dtype=np.float64),
        high=np.array(history.info["high"], dtype=np.float64),
        means=np.array(means, dtype=np.float64),
        marked=won,
        path=() if recipe is None else hops(recipe.content),
        generations=tuple(int(history.generations[part[0]]) for part in parts),
        span=(int(history.evaluations[0]), int(history.evaluations[-1])),
    )


def _pairs(names: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the positions of the slots' scales, and of the genes that put those slots in."""
    inside = {name.removesuffix(f".{INSIDE}"): index for index, name in enumerate(names)}
    found = []
    for index, name in enumerate(names):
        group, _, parameter = parse(name)
        slot = inside.get(name.removesuffix(f".{SCALE}"))
        if parameter == SCALE and SLOT.fullmatch(group) and slot is not None:
            found.append((index, slot))
    return [index for index, _ in found], [slot for _, slot in found]


def _mean(numbers: Floats, counted: NDArray[np.bool_]) -> Floats:
    """Return the mean of each column over its counted rows; NaN where there is none."""
    count = counted.sum(axis=0)
    sums = np.where(counted, numbers, 0.0).sum(axis=0)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)
