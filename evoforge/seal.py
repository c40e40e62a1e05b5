"""A journal's checksum, beside it from the moment a run closes it until a run opens it again.

SQLite notices damage to its own structure, not a bit that flips inside a number or a text. A
journal of a process that was killed has no checksum.
"""

from pathlib import Path

import xxhash

from evoforge.errors import JournalError
from evoforge.schema import FILE

SEAL = f"{FILE}.xxh3"
PIECE = 1 << 20  # bytes read at a time


def write(folder: Path) -> None:
    """Seal a journal that is closed, unless what a reader has open still holds some of it."""
    log = folder / f"{FILE}-wal"
    if (folder / FILE).is_file() and not (log.is_file() and log.stat().st_size):
        (folder / SEAL).write_text(_hash(folder) + "\n", "ascii")


def remove(folder: Path) -> None:
    """Break the seal, before anything is written."""
    (folder / SEAL).unlink(missing_ok=True)


def check(folder: Path) -> None:
    """Make sure that a sealed journal is what the run left.

    Raises:
        JournalError: it is not.
    """
    known = _read(folder)
    # A run that began in between has broken the seal before it wrote.
    if known is not None and known != _hash(folder) and known == _read(folder):
        raise JournalError(
            f"{folder / FILE} is damaged: it is not what the run left; restore it, or delete "
            f"{folder / SEAL} to take it as it is"
        )


def _read(folder: Path) -> str | None:
    try:
        return (folder / SEAL).read_text("ascii", "replace").strip()
    except FileNotFoundError:
        return None


def _hash(folder: Path) -> str:
    state = xxhash.xxh3_128()
    with (folder / FILE).open("rb") as file:
        while piece := file.read(PIECE):
            state.update(piece)
    return str(state.hexdigest())
