"""A run's record, opened to be looked at."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evoforge.errors import JournalError
from evoforge.record import FILE, Record


@contextmanager
def opened(folder: Path) -> Iterator[Record]:
    """Open the record of a run for a while, also while the run goes on.

    Raises:
        JournalError: there is none, or it is damaged, which may show only when it is read.
    """
    record = Record.open(folder)
    try:
        yield record
    except sqlite3.DatabaseError as error:
        raise JournalError(f"{folder / FILE} is damaged: {error}") from error
    finally:
        record.close()
