"""The journal's file, opened by one process at a time."""

import sqlite3
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from evoforge import seal
from evoforge.errors import JournalError
from evoforge.filesystem import on_network
from evoforge.schema import FILE


def locked(folder: Path) -> tuple[sqlite3.Connection, FileLock]:
    """Open the journal's file in a run folder, made if it is not there; lock the folder.

    Raises:
        JournalError: the folder is in use, cannot be written, or its journal was damaged.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise JournalError(
            f"{folder} is in use by another process; wait for it or choose another folder"
        ) from None
    except OSError as error:
        raise JournalError(
            f"cannot write the run folder {folder}: {error.strerror}; set hydra.run.dir"
        ) from error
    try:
        seal.check(folder)
        seal.remove(folder)
    except JournalError:
        lock.release()
        raise
    connection = sqlite3.connect(folder / FILE, isolation_level=None, timeout=10)
    mode = "DELETE" if on_network(folder) else "WAL"
    try:
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("PRAGMA synchronous=FULL")
    except sqlite3.DatabaseError as error:
        lock.release()
        raise JournalError(f"{folder / FILE} cannot be used: {error}") from error
    return connection, lock


def unlock(folder: Path, lock: FileLock) -> None:
    """Seal the journal's file, which is closed, and release the folder; may be called twice."""
    if lock.is_locked:
        with suppress(OSError):  # on a full disk it has no seal
            seal.write(folder)
    lock.release()
