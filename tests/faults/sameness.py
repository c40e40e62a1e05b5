"""What two runs must have in common, whatever became of their processes."""

import sqlite3
from pathlib import Path

from evoforge.record import FILE

# Tables and columns that say when and by whom, not what.
TIMES = {"sessions": None, "evaluations": {"seconds"}, "events": {"seq"}}


def tables(folder):
    """Return the rows of every table of a journal, less seconds and the processes that worked."""
    connection = sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
    found = {}
    for (name,) in names:
        left_out = TIMES.get(name, set())
        if left_out is None:
            continue
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
        kept = ", ".join(column for column in columns if column not in left_out)
        rows = connection.execute(f"SELECT {kept} FROM {name}").fetchall()
        found[name] = [row for row in rows if row[0] not in ("id", "session", "overrides")]
    connection.close()
    return found


def files(folder):
    """Return the bytes of all files in a folder and below, by name."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
