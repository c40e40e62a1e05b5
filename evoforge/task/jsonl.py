"""Items out of JSON Lines files: one object a line with `question` and an answer."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evoforge.errors import ConfigError

KEYS = ("file", "where", "skip", "take")


class JsonLines:
    """Items from files in a folder.

    Each part names a `file`, and if wanted which of its rows: `where` (values that they must
    have), then `skip` and `take` (how many, in the order of the file). A row has `question`, one
    of `answers` and `answer_number`, and if it likes an `id` and more.

    Args:
        folder: where the files lie.
        search: what the search is judged on.
        select: what chooses the winner.
        test: what is reported.

    Raises:
        ConfigError: the folder is not set, or a part's options make no sense.
    """

    def __init__(
        self,
        *,
        folder: str | None,
        search: Mapping[str, Any],
        select: Mapping[str, Any],
        test: Mapping[str, Any],
    ) -> None:
        self._parts = {"search": search, "select": select, "test": test}
        for part, given in self._parts.items():
            unknown = sorted(set(given) - set(KEYS))
            if unknown or "file" not in given:
                raise ConfigError(
                    f"{part} must have {', '.join(KEYS)} (file at least), got "
                    f"{', '.join(map(str, given))}; set task.items.{part}"
                )
        if folder is None:
            raise ConfigError(
                f"this task reads files; set data_dir to the folder that holds {search['file']}"
            )
        self._folder = Path(folder).expanduser()

    def rows(self, part: str) -> list[dict[str, Any]]:
        """Return the rows of a part, in the order of the file.

        Raises:
            ConfigError: the file is missing, or a line of it cannot be used.
        """
        given = self._parts[part]
        wanted = given.get("where") or {}
        rows = [
            row
            for row in _read(self._folder / given["file"])
            if all(row.get(key) == value for key, value in wanted.items())
        ]
        start, count = given.get("skip") or 0, given.get("take")
        return rows[start : None if count is None else start + count]


def _read(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text("utf-8").split("\n")  # texts may hold other line ends
    except OSError as error:
        raise ConfigError(f"cannot read {path} ({error.strerror}); set data_dir") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error.reason}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{path}, line {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise ConfigError(f"{path}, line {number} is not an object")
        yield {"id": f"{path.stem}-{number}", **row}
