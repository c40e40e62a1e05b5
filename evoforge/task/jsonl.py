"""Items out of files of rows, or of the hub's data sets that hold the same."""

import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from evoforge.errors import ConfigError
from evoforge.task.files import filled, read_file, with_picture
from evoforge.task.hub import data_set, load
from evoforge.task.leaks import asked, check_disjoint, shared
from evoforge.task.rows import check_row, place, with_answers
from evoforge.task.unfolding import check_unfold, unfolded

KEYS = ("file", "where", "shuffle", "skip", "take", "unfold", "image", "without", "known")


class JsonLines:
    """Items from files in a folder, or from the hub where no folder is given.

    Each part names a `file`, and if wanted which of its rows: `where` (values that they must
    have), `shuffle` (a seed; else in the order of the file), `skip` and `take` (how many; below 0
    counted from the end), then `unfold` (a list in each row, such as the questions on one picture,
    whose entries are rows of their own; `{list: qas, most: 1}` for the first of each), then
    `without` (parts whose items are left out of this one). `known` gives each row a name that the
    same problem has elsewhere (`gsm8k/test/{gsm8k_index}`), `image` the picture of rows that name
    none (`images/{image_id}.jpg`). A row has `question` and an answer: `answers` (or one `answer`),
    `answer_number`, or `choices` with `label`; and if it likes an `id`, an `image` (a path, from
    the file's folder or `folder`) and more.

    Args:
        folder: where the files lie; None: each comes from the data set that `hub` names.
        search: what the search is judged on.
        select: what chooses the winner.
        test: what is reported.
        shots: what examples in prompts are drawn from; None where there are none.
        hub: file -> options of `evoforge.task.hub.DataSet`.

    Raises:
        ConfigError: a part's options make no sense, or a file is nowhere.
    """

    def __init__(
        self,
        *,
        folder: str | None,
        search: Mapping[str, Any],
        select: Mapping[str, Any],
        test: Mapping[str, Any],
        shots: Mapping[str, Any] | None = None,
        hub: Mapping[str, Any] | None = None,
    ) -> None:
        self._parts = {"search": search, "select": select, "test": test}
        if shots is not None:
            self._parts["shots"] = shots
        for part, given in self._parts.items():
            _check_options(part, given, list(self._parts))
        self._hub = {file: data_set(file, options) for file, options in (hub or {}).items()}
        missing = [each["file"] for each in self._parts.values() if each["file"] not in self._hub]
        if folder is None and missing:
            raise ConfigError(
                f"this task reads files; set data_dir to the folder that holds {missing[0]}"
            )
        self._folder = None if folder is None else Path(folder).expanduser()
        self._read = cache(self._file)
        self._own = cache(self._rows)
        self._asked = cache(lambda part: [asked(row) for row in self._own(part)])

    def rows(self, part: str) -> list[dict[str, Any]]:
        """Return the rows of a part; for `shots` none where the task has none.

        Raises:
            ConfigError: a file is missing, a row cannot be used, or shots are items too.
        """
        if part not in self._parts:
            return []
        if part == "shots":
            self._check_shots()
        return [
            {k: v for k, v in row.items() if k not in ("_line", "_row", "_entry")}
            for row in self._own(part)
        ]

    def _rows(self, part: str) -> list[dict[str, Any]]:
        given = self._parts[part]
        source, found = self._read(given["file"])
        wanted = given.get("where") or {}
        rows = [row for row in found if all(row.get(k) == v for k, v in wanted.items())]
        if not rows:
            raise ConfigError(f"no row of {source} has {dict(wanted)}; set task.items.{part}.where")
        if given.get("shuffle") is not None:
            random.Random(given["shuffle"]).shuffle(rows)
        rows = rows[given.get("skip") or 0 :][: given.get("take")]
        if not rows:
            raise ConfigError(
                f"skip and take leave no row of {source}; set task.items.{part}.skip or .take"
            )
        rows = [self._shown(_prepared(row, given, source), given, source) for row in rows]
        if given.get("unfold"):
            rows = unfolded(rows, given["unfold"], source, f"task.items.{part}.unfold")
            # An entry may name a picture of its own; one that was read is not read again.
            rows = [self._shown(row, given, source) for row in rows]
        rows = [with_answers(row) for row in rows]
        for row in rows:
            check_row(row, place(row, source))
        return self._without(rows, given)

    def _shown(self, row: Mapping[str, Any], given: Mapping[str, Any], source: str) -> Any:
        """Return a row with its picture, whose path may be from either folder."""
        folder = self._folder or Path()
        folders = ((folder / given["file"]).parent, folder)
        return with_picture(row, source, folders, given.get("image"))

    def _file(self, file: str) -> tuple[str, list[dict[str, Any]]]:
        """Return what a file is called, and its rows."""
        if self._folder is None:
            source = self._hub[file]
            return source.title, load(file, source)
        path = self._folder / file
        return str(path), read_file(path, Path(file).with_suffix("").as_posix())

    def _without(
        self, rows: list[dict[str, Any]], given: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Leave out the items that other parts have too."""
        others = [item for part in given.get("without") or [] for item in self._asked(part)]
        both = {item.id for _, item in shared(others, map(asked, rows))} if others else set()
        return [row for row in rows if str(row["id"]) not in both]

    def _check_shots(self) -> None:
        """Refuse shots that are items too: an answer must not stand in a prompt."""
        for part in ("search", "select", "test"):
            check_disjoint({part: self._asked(part), "shots": self._asked("shots")})


def _check_options(part: str, given: Any, parts: Sequence[str]) -> None:
    """Refuse what cannot choose the rows of a part."""
    names = list(given) if isinstance(given, Mapping) else [given]
    if not isinstance(given, Mapping) or set(names) - set(KEYS) or "file" not in given:
        raise ConfigError(
            f"{part} must have {', '.join(KEYS)} (file at least), got "
            f"{', '.join(map(str, names))}; set task.items.{part}"
        )
    if not isinstance(given["file"], str) or not given["file"] or "\0" in given["file"]:
        raise ConfigError(
            f"file must be the name of a file, got {given['file']!r}; set task.items.{part}.file"
        )
    for key in ("skip", "take", "shuffle"):
        value = given.get(key)
        if value is not None and type(value) is not int:
            raise ConfigError(
                f"{key} must be a whole number or null, got {value!r}; set task.items.{part}.{key}"
            )
    if not isinstance(given.get("where") or {}, Mapping):
        raise ConfigError(
            f"where must be a mapping, got {given['where']!r}; set task.items.{part}.where"
        )
    check_unfold(given.get("unfold"), f"task.items.{part}.unfold")
    for key, example in (("image", "images/{image_id}.jpg"), ("known", "gsm8k/test/{row}")):
        if not isinstance(given.get(key) or "", str):
            raise ConfigError(
                f"{key} must be a text such as {example}, got {given[key]!r}; "
                f"set task.items.{part}.{key}"
            )
    without = given.get("without") or []
    known = [name for name in parts if name != part]
    if not isinstance(without, list | tuple) or any(name not in known for name in without):
        others = ", ".join(name for name in parts if name != part)
        raise ConfigError(
            f"without must be a list of other parts ({others}), got {without!r}; "
            f"set task.items.{part}.without"
        )


def _prepared(row: Mapping[str, Any], given: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return a row with what its part says of it."""
    if not given.get("known"):
        return dict(row)
    return {**row, "known": [filled(given["known"], row, place(row, source), "known")]}
