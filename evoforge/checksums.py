"""Checksums of a model folder's files, in the form that `sha256sum -c` reads."""

import hashlib
from pathlib import Path

SUMS = "SHA256SUMS"
# A card is there to be written on.
CARD = "README.md"


def write(folder: Path) -> None:
    """Write the checksums of all files in a folder and below, but for the card."""
    lines = [f"{_sum(folder / name)}  {name}\n" for name in _names(folder)]
    (folder / SUMS).write_text("".join(lines), "utf-8")


def damaged(folder: Path) -> list[str]:
    """Return the names of files that are missing or not what was written; files may be added.

    A folder without checksums, as earlier versions made it, is taken as it is.
    """
    path = folder / SUMS
    if not path.is_file():
        return []
    found = []
    for line in path.read_text("utf-8", "replace").splitlines():
        known, _, name = line.partition("  ")
        inside = (folder / name).resolve().is_relative_to(folder.resolve())
        if not name or not inside or not (folder / name).is_file() or _sum(folder / name) != known:
            found.append(name or SUMS)
    return found


def _names(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in files)
    return sorted(name for name in names if name not in (SUMS, CARD))


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
