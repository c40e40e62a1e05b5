"""A task of a user's own: questions in one file, or in three, and little else to say.

Knows files and which kind of task their rows are for; does not know how the kinds work.
"""

import inspect
import random
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from evoforge.errors import ConfigError
from evoforge.task.base import PARTS, Task
from evoforge.task.files import read_file, with_picture
from evoforge.task.generation import Generation
from evoforge.task.leaks import asked
from evoforge.task.multiple_choice import MultipleChoice
from evoforge.task.request import PICTURE
from evoforge.task.rows import check_row, place, with_answers

Kind = Literal["auto", "generation", "multiple_choice"]
Rows = list[dict[str, Any]]
SHARES = {"search": 0.5, "select": 0.2, "test": 0.3}
# What decides the kind, in this order, and what it is called in errors.
ANSWERS = ("choices", "answer_number", "answers")


class OwnItems:
    """Items that were read already.

    Args:
        parts: part -> its rows.
    """

    def __init__(self, parts: Mapping[str, Rows]) -> None:
        self._parts = parts

    def rows(self, part: str) -> Rows:
        """Return the rows of a part; none for shots."""
        return [
            {key: value for key, value in row.items() if key not in ("_line", "_row")}
            for row in self._parts.get(part, [])
        ]


def own_task(
    *,
    name: str | None = None,
    file: str | None = None,
    files: Mapping[str, str | None] | None = None,
    shares: Mapping[str, float] | None = None,
    seed: int = 0,
    kind: Kind = "auto",
    prompt: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Task:
    """Make a task of a user's rows.

    Args:
        name: what the task is called in tables; None for the file's name.
        file: of rows: JSON Lines, a JSON list, CSV or Parquet; it is split into the three parts.
        files: part -> its own file, instead.
        shares: part -> how much of the one file it gets.
        seed: of the split.
        kind: of the task; `auto` by what the rows have: choices with a label, an answer_number
            (the last number written must be it), or answers (the answer must be one of them; of
            rows with an image: ROUGE-L).
        prompt: with {question} in it, or other keys of the rows, and `<image>` where rows have an
            image; None for a plain one.
        options: any other option of that kind of task.

    Raises:
        ConfigError: no file, or both kinds of files, are given; a row cannot be used; or the rows
            are for several kinds of tasks.
    """
    if file and any((files or {}).values()):
        raise ConfigError("one file or three are read, not both; set task.file=null or task.files")
    parts = _one(file, shares or SHARES, seed) if file else _three(files or {})
    rows = [row for found in parts.values() for row in found]
    given = _answers(rows, kind, file or "task.files")
    _check_pictures(rows, file or "task.files")
    called = name or Path(file or str((files or {})["test"])).stem
    chosen = MultipleChoice if given == "choices" else Generation
    settings = {
        "prompt": prompt or _prompt(rows),
        **_defaults(given, rows, options or {}),
        **(options or {}),
    }
    known = [key for key in inspect.signature(chosen).parameters if key not in ("name", "items")]
    if unknown := sorted(set(settings) - set(known)):
        raise ConfigError(
            f"a task of these rows has the options {', '.join(known)}, got {unknown[0]}; "
            "set task.options"
        )
    try:
        return chosen(name=called, items=OwnItems(parts), **settings)
    except ConfigError as error:
        raise ConfigError(_said_here(str(error))) from error


def _said_here(error: str) -> str:
    """Return what a task says with its options as they are called in this one."""
    for pattern, name in (
        (r"task\.items\.shots, ", ""),
        (r"task\.items\.", "task.files."),
        (r"task\.items\b", "task.file"),
        (r"task\.(?!prompt\b|files?\b)", "task.options."),
    ):
        error = re.sub(rf"(?<![.\w]){pattern}", name, error)
    return error


def _one(file: str, shares: Mapping[str, float], seed: int) -> dict[str, Rows]:
    """Split the rows of a file at random; what asks the same stays together."""
    if set(shares) != set(PARTS) or not all(map(_is_share, shares.values())):
        raise ConfigError(
            f"shares must be numbers above 0 for {', '.join(PARTS)}, got {dict(shares)}; "
            "set task.shares"
        )
    groups: dict[frozenset[str], Rows] = {}
    rows = _read(file, "task.file")
    for row in rows:
        one = asked(row)
        groups.setdefault(frozenset([one.picture]) if one.picture else one.texts, []).append(row)
    if len(groups) < len(PARTS):
        what = (
            "shows {} different pictures" if "image" in rows[0] else "asks {} different questions"
        )
        raise ConfigError(
            f"{file} {what.format(len(groups))}, too few for search, select and test; "
            "add rows to task.file"
        )
    order = list(groups.values())
    random.Random(seed).shuffle(order)
    counts = _counts(len(order), [shares[part] for part in PARTS])
    found, start = {}, 0
    for part, count in zip(PARTS, counts, strict=True):
        found[part] = [row for group in order[start : start + count] for row in group]
        start += count
    return {part: sorted(rows, key=_number) for part, rows in found.items()}


def _number(row: Mapping[str, Any]) -> int:
    return int(row["_line"] if "_line" in row else row["_row"])


def _is_share(value: Any) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and 0 < value <= sys.float_info.max


def _counts(total: int, shares: Sequence[float]) -> list[int]:
    """Return how many of all each part gets: its share, and at least one."""
    counts = [max(1, int(total * share / sum(shares))) for share in shares]
    counts[counts.index(max(counts))] += total - sum(counts)
    return counts


def _three(files: Mapping[str, str | None]) -> dict[str, Rows]:
    if set(files) != set(PARTS) or not all(files.values()):
        raise ConfigError(
            "task=jsonl reads a file of yours; set task.file to one that is split, or "
            "task.files.search, .select and .test to three"
        )
    found: dict[str, Rows] = {part: _read(str(files[part]), f"task.files.{part}") for part in PARTS}
    names = [row["id"] for rows in found.values() for row in rows]
    if len(set(names)) < len(names):  # files of one name in several folders
        for part, rows in found.items():
            for row in rows:
                row["id"] = f"{part}-{row['id']}"
    return found


def _read(file: str, option: str) -> Rows:
    path = Path(file).expanduser()
    rows = [
        with_answers(with_picture(row, file, (path.parent,)))
        for row in read_file(path, path.stem, option)
    ]
    for row in rows:
        check_row(row, place(row, file))
    return rows


def _check_pictures(rows: Rows, source: str) -> None:
    """Refuse rows of which only some have a picture."""
    lacking = [row for row in rows if "image" not in row]
    if lacking and len(lacking) < len(rows):
        raise ConfigError(
            f"{place(lacking[0], source)} has no image, and other rows have; give all rows one, or "
            "none"
        )


def _answers(rows: Rows, kind: Kind, source: str) -> str:
    """Return which answer all rows have that suits the kind."""
    kinds = {"auto": ANSWERS, "generation": ANSWERS[1:], "multiple_choice": ANSWERS[:1]}
    if kind not in kinds:
        raise ConfigError(f"kind must be one of {', '.join(kinds)}, got {kind}; set task.kind")
    fitting = kinds[kind]
    having = {answer: [row.get(answer) not in (None, []) for row in rows] for answer in fitting}
    for answer in fitting:
        if all(having[answer]):
            return answer
    most = max(fitting, key=lambda answer: sum(having[answer]))
    lacking = rows[having[most].index(False)]
    kind_of = "line" if "_line" in lacking else "row"
    raise ConfigError(
        f"the rows of {source} have no kind of answer in common ({', '.join(fitting)}): {kind_of} "
        f"{_number(lacking)} has no {most}; give all rows the same, or set task.kind"
    )


def _prompt(rows: Rows) -> str:
    shown = f"{PICTURE}\n" if "image" in rows[0] else ""
    context = "{context}\n\n" if all(row.get("context") for row in rows) else ""
    return f"{shown}{context}Question: {{question}}\nAnswer:"


def _defaults(given: str, rows: Rows, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what goes with an answer where the user says nothing."""
    if given == "choices":
        return {"continuation": " {choice}"}
    if given == "answer_number":
        return {}
    # An answer of several lines could never be given in one, and published protocols have stops.
    one_line = options.get("protocol", "robust") == "robust" and not any(
        "\n" in str(text).strip() for row in rows for text in row["answers"]
    )
    # Of a picture one may say the same in many words.
    judge = "rougel" if "image" in rows[0] else "exact_match"
    return {"judge": judge, **({"stop": ["\n"]} if one_line else {})}
