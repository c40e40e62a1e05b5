"""Rows out of a file of any kind, and the pictures that they name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evoforge.errors import ConfigError
from evoforge.task.hub import DataSet, load
from evoforge.task.picture import Picture
from evoforge.task.rows import place, read


def read_file(path: Path, name: str, option: str = "data_dir") -> list[dict[str, Any]]:
    """Return the rows of a file: Parquet, CSV, a JSON list, or JSON Lines.

    Args:
        path: of the file; its ending says the kind.
        name: of the file, which made ids begin with.
        option: what to set where it cannot be read.

    Raises:
        ConfigError: the file cannot be read, or two rows have one id.
    """
    if path.suffix.lower() != ".parquet":
        return read(path, name, option)
    if not path.is_file():
        raise ConfigError(f"cannot read {path} (No such file or directory); set {option}")
    return load(f"{name}.parquet", DataSet("parquet", files=str(path)))


def with_picture(
    row: Mapping[str, Any], source: str, folders: Sequence[Path], pattern: str | None = None
) -> dict[str, Any]:
    """Return a row with the picture that it shows, read once.

    Args:
        row: with an `image`, or without.
        source: of the row, for errors.
        folders: what paths are relative to.
        pattern: the path of rows that name none, with keys of the row in braces.

    Raises:
        ConfigError: there is no such file, or it is no picture.
    """
    image = row.get("image")
    if image in (None, "") and pattern:
        image = filled(pattern, row, place(row, source), "image")
    if image in (None, ""):
        return {key: value for key, value in row.items() if key != "image"}
    return {**row, "image": Picture.of(image, place(row, source), folders)}


def filled(pattern: str, row: Mapping[str, Any], where: str, option: str) -> str:
    """Return a text with keys of a row in its braces.

    Args:
        pattern: the text.
        row: whose keys they are.
        where: the row stands, for errors.
        option: as the user names the text.

    Raises:
        ConfigError: the row does not fit it.
    """
    try:
        return pattern.format(**row)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{option} must be a text with keys of the row in braces, got {pattern!r}, which does "
            f"not fit {where}; set task.items"
        ) from error
