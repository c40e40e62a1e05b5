"""The numbers of one recipe as a grid: groups of tensors x (source, parameter).

Knows the layout of a recipe's values; does not know what the numbers do to a model.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evoforge.record import Record
from evoforge.report.history import SHARED, parse
from evoforge.report.lineage import numbers as values


@dataclass(frozen=True)
class Grid:
    """A recipe's numbers.

    Args:
        groups: the rows.
        columns: source and parameter of each column.
        numbers: for each row a number for each column; None where the recipe has none.
    """

    groups: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    numbers: tuple[tuple[float | None, ...], ...]


def grid(record: Record, recipe: str) -> Grid:
    """Return the numbers of a recipe, or of the merge among its sources.

    They come in the order in which they were searched: canonical JSON sorts by name, which would
    put layer10 before layer2.
    """
    names = [parse(name) for info in record.stages().values() for name in info.get("names", ())]
    cells = _cells(values(record.recipe(recipe).content))
    groups = _in_order({group for group, _, _ in cells}, [group for group, _, _ in names])
    sources = _in_order({source for _, source, _ in cells}, [source for _, source, _ in names])
    keys = _in_order({key for _, _, key in cells}, [key for _, _, key in names])
    used = {(source, key) for _, source, key in cells}
    columns = tuple((source, key) for source in sources for key in keys if (source, key) in used)
    rows = tuple(tuple(cells.get((group, *column)) for column in columns) for group in groups)
    return Grid(tuple(groups), columns, rows)


def _cells(values: Any) -> dict[tuple[str, str, str], float]:
    found: dict[tuple[str, str, str], float] = {}
    for group, sources in _items(values):
        for source, parameters in _items(sources):
            for key, number in _items(parameters):
                if isinstance(number, int | float):
                    found[group, "" if source == SHARED else source, key] = float(number)
    return found


def _items(value: Any) -> Sequence[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, Mapping) else []


def _in_order(found: set[str], searched: Sequence[str]) -> list[str]:
    rank: dict[str, int] = {}
    for name in searched:
        rank.setdefault(name, len(rank))
    return sorted(found, key=lambda name: (rank.get(name, len(rank)), _natural(name)))


def _natural(name: str) -> list[tuple[int, str]]:
    pieces = re.split(r"([0-9]+)", name)
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces]
