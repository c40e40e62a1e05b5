"""Archives of quality-diversity: a grid of what models are like, the best of each cell kept.

Knows numbers and names; does not know genomes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer._genes import Numbers
from evoforge.optimizer.base import Genomes
from evoforge.space import Genome

# What evaluations measure beside the metrics that a task is about.
OTHERS = ("fitness", "tokens", "hops", "violation", "over_length")

# Cells along one axis, and along each of several.
BINS = (10, 5)

Ranges = Mapping[str, Sequence[float] | None]


@dataclass(frozen=True)
class Archive:
    """The best of each cell of a grid.

    Args:
        quality: what is best, higher is better.
        axes: the names of the grid's axes.
        low: (axes,) where the first cell begins.
        high: (axes,) where the last cell ends; what lies outside falls into the outermost cells.
        bins: cells along each axis.
        cells: (n, axes) of those that hold somebody, in order.
        places: (n,) of who is in each.
        values: (n,) their quality.
    """

    quality: str
    axes: tuple[str, ...]
    low: Genome
    high: Genome
    bins: int
    cells: Numbers
    places: Numbers
    values: Genome

    @property
    def coverage(self) -> float:
        """The share of the cells that hold somebody."""
        return len(self.cells) / float(self.bins ** len(self.axes))

    def score(self, floor: float) -> float:
        """Return the QD score: the sum of qualities above a floor.

        Reference:
            Pugh 2016, Quality Diversity: A New Frontier for Evolutionary Computation,
            https://doi.org/10.3389/frobt.2016.00040
        """
        return float((self.values - floor).sum())

    def facts(self, numbers: Numbers) -> dict[str, Any]:
        """Return the archive as JSON: the grid, and of each cell that is held where and by whom.

        Args:
            numbers: (n,) of those in the cells, in the order asked.
        """
        bounds = zip(self.axes, self.low.tolist(), self.high.tolist(), strict=True)
        held = zip(self.cells.tolist(), self.values.tolist(), numbers.tolist(), strict=True)
        return {
            "quality": self.quality,
            "axes": [{"name": name, "low": low, "high": high} for name, low, high in bounds],
            "bins": self.bins,
            "coverage": self.coverage,
            "cells": [[cell, float(f"{value:.6g}"), number] for cell, value, number in held],
        }


def archive(
    quality: str,
    ranges: Ranges,
    bins: int | None,
    values: Genome,
    measures: Genomes,
    places: Numbers,
) -> Archive:
    """Return the best of each cell; of equals the first.

    Args:
        quality: the name of `values`.
        ranges: of the axes by name: `[low, high]`, or None for all that was told so far.
        bins: cells along each axis; None for 10 on one axis, and 5 on each of several: more than a
            few hundred candidates can fill.
        values: (n,) finite.
        measures: (n, axes) finite.
        places: (n,) of whom these are.
    """
    low, high = bounds(ranges, measures)
    count = bins or BINS[len(ranges) > 1]
    cells = cells_of(measures, low, high, count)
    # By cell, and in it the best first; the sort is stable.
    order = np.lexsort((-values, *cells.T[::-1]))
    ranked = cells[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    held = order[first]
    return Archive(
        quality, tuple(ranges), low, high, count, cells[held], places[held], values[held]
    )


def bounds(ranges: Ranges, measures: Genomes) -> tuple[Genome, Genome]:
    """Return where the axes begin and end: twice (axes,)."""
    pairs = []
    for given, column in zip(ranges.values(), measures.T, strict=True):
        low, high = (column.min(), column.max()) if given is None else given
        pairs.append((float(low), float(high)))
    return np.array([low for low, _ in pairs]), np.array([high for _, high in pairs])


def cells_of(measures: Genomes, low: Genome, high: Genome, bins: int) -> Numbers:
    """Return the cell of each: (n, axes) in [0, bins); all in the first where there is no range."""
    room = np.where(high > low, high - low, 1.0)
    return np.clip(np.floor((measures - low) / room * bins), 0, bins - 1).astype(np.intp)


def checked_bins(bins: int | None) -> int | None:
    """Refuse a grid of less than two cells along an axis.

    Raises:
        ConfigError: it is.
    """
    if bins is not None and (isinstance(bins, bool) or not isinstance(bins, int) or bins < 2):
        raise ConfigError(f"bins must be at least 2, got {bins!r}; set optimizer.bins")
    return bins


def checked_ranges(measures: Ranges) -> dict[str, tuple[float, float] | None]:
    """Return the axes that a user gives, checked.

    Raises:
        ConfigError: there is none, or a range makes no sense.
    """
    if not isinstance(measures, Mapping) or not measures:
        raise ConfigError(
            f"measures must be a name or more, each with [low, high] or null, got {measures!r}; "
            "set optimizer.measures={tokens: null}"
        )
    found: dict[str, tuple[float, float] | None] = {}
    for name, given in measures.items():
        pair = None if given is None else _numbers(given)
        if pair is not None and not (len(pair) == 2 and pair[0] < pair[1]):
            raise ConfigError(
                f"a measure must be null or [low, high] with low below high, got {given!r}; "
                f"set optimizer.measures.{name}"
            )
        found[name] = None if pair is None else (pair[0], pair[1])
    return found


def _numbers(given: Any) -> tuple[float, ...]:
    """Return a sequence of numbers, empty if it is something else."""
    if not isinstance(given, Sequence) or not all(isinstance(x, int | float) for x in given):
        return ()
    return tuple(map(float, given))


def metrics(given: Mapping[str, Genome]) -> list[str]:
    """Return which names of what was measured are metrics of the task as a whole."""
    return [name for name in given if name not in OTHERS and "/" not in name]


def telling(names: Sequence[str], given: Mapping[str, Genome], fitness: Genome) -> list[str]:
    """Return those metrics that tell models apart and are not the fitness itself.

    Args:
        names: in the order in which they are wanted.
        given: what was measured of a generation, NaN for failures.
        fitness: (population,) of the same.
    """
    fine = np.isfinite(fitness)
    found = []
    for name in names:
        own = given[name][fine]
        same = np.allclose(own, fitness[fine]) or np.allclose(own, -fitness[fine])
        if not same and np.ptp(own) > 0:
            found.append(name)
    return found
