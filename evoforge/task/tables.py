"""Rows of texts that are no JSON Lines: CSV with a head, and one JSON list.

Knows forms of texts; what a row must say is another's affair.
"""

import csv
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, Final

from evoforge.errors import ConfigError

# What a cell of these columns is beside a text.
NUMBERS: Final = {"answer_number": float, "label": int}
# Columns whose cells are texts, whatever they begin with.
TEXTS: Final = ("id", "image", "question", "answer", "context")


def csv_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the lines of a CSV file and their rows; an empty cell is none.

    Cells that begin with a bracket are lists, as JSON has them, but not those of `TEXTS`.

    Raises:
        ConfigError: the head names a column twice or does not fit a line, or a cell cannot be read.
    """
    reader = csv.DictReader(StringIO(text, newline=""), strict=True)
    try:
        head = reader.fieldnames or ()
        if twice := [key for key in head if head.count(key) > 1]:
            raise ConfigError(f"{path} has two columns {twice[0]!r}; take one out")
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise ConfigError(f"{where} must have {len(head)} cells, as the first line has")
            found = {key: _cell(key, cell, where) for key, cell in row.items() if cell.strip()}
            if found:
                yield reader.line_num, found
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.reader.line_num} is not CSV: {error}") from error


def json_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the places of a JSON list, from 1 on, and their rows.

    Raises:
        ConfigError: it is no list of objects.
    """
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{path} must be a list of objects, one for each row")
    yield from enumerate(rows, start=1)


def _cell(key: str, cell: str, where: str) -> Any:
    listed = cell.startswith("[") and key not in TEXTS
    wanted = NUMBERS.get(key, json.loads if listed else str)
    try:
        return wanted(cell)
    except ValueError as error:
        raise ConfigError(f"{where}: {key} cannot be read, got {cell!r} ({error})") from error
