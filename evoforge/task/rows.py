"""Rows of data: read from files of text, and checked one by one, wherever they come from.

Knows what a row must say; does not know what it is asked for.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evoforge.errors import ConfigError
from evoforge.task.tables import csv_rows, json_rows

EXAMPLE = '{"question": "1+1=", "answer_number": 2}'
ANSWERS = "answers, answer_number, or choices with label"
# Half of what two escapes write together; by itself it is no character.
_HALF = re.compile(r"[\ud800-\udfff]")


def read(path: Path, name: str, option: str = "data_dir") -> list[dict[str, Any]]:
    """Return the rows of a file, each with the id that it has, or one made of its line.

    Args:
        path: of the file; UTF-8 text, one object a line, or one list in .json, or .csv.
        name: of the file, which made ids begin with.
        option: what to set where it cannot be read.

    Raises:
        ConfigError: the file is missing or empty, a line of it is not an object, or two rows
            have one id.
    """
    text = _text(path, option)
    ending = path.suffix.lower()
    listed = ending == ".json" and text.lstrip().startswith("[")
    made = csv_rows if ending == ".csv" else json_rows if listed else _lines
    rows = [{"id": f"{name}-{n}", **row, "_line": n} for n, row in made(text, path)]
    if not rows:
        raise ConfigError(f"{path} is empty; write one object a line, such as {EXAMPLE}")
    _check_ids(rows, str(path))
    return rows


def _text(path: Path, option: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read {path} ({error.strerror}); set {option}") from error
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path} is not UTF-8 text: {error.reason} in line {number}; save it as UTF-8"
        ) from error


def _lines(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):  # texts may hold other line ends
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            whole = line.strip().startswith("[") and not line.strip().endswith("]")
            hint = "; write one object a line, not a list of them" if whole else ""
            raise ConfigError(f"{path}, line {number} is not JSON: {error}{hint}") from error
        if not isinstance(row, dict):
            raise ConfigError(
                f"{path}, line {number} is not an object but {_kind(row)}; write one object a "
                f"line, such as {EXAMPLE}"
            )
        half = _HALF.search(json.dumps(row, ensure_ascii=False)) if "\\u" in line else None
        if half:
            raise ConfigError(
                f"{path}, line {number} holds {half[0]!a}, half of a character; write the "
                "character itself"
            )
        yield number, row


def _kind(value: Any) -> str:
    kinds = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _check_ids(rows: list[dict[str, Any]], source: str) -> None:
    """Refuse ids that occur twice: results are filed under them."""
    seen: dict[str, str] = {}
    for row in rows:
        name, where = str(row["id"]), place(row, source)
        if name in seen:
            raise ConfigError(
                f"{where} has the id {name}, as {seen[name]} has; give each row another id, or none"
            )
        seen[name] = where


def place(row: Mapping[str, Any], source: str) -> str:
    """Return where a row stands, for errors; an entry of its list is counted from 1."""
    line = f"line {row['_line']}" if "_line" in row else f"row {row['_row']}"
    return f"{source}, {line}" + (f", entry {row['_entry']}" if "_entry" in row else "")


def with_answers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose one `answer` is its answers, where it has no other."""
    answer = row.get("answer")
    if _answered(row) or not isinstance(answer, str) or not answer.strip():
        return dict(row)
    return {**row, "answers": [answer]}


def _answered(row: Mapping[str, Any]) -> bool:
    return any(row.get(key) not in (None, []) for key in ("answers", "answer_number", "choices"))


def check_row(row: Mapping[str, Any], where: str) -> None:
    """Make sure that a row says what is asked, and what is right.

    Args:
        row: as read.
        where: where it stands, for errors.

    Raises:
        ConfigError: a key is missing, or holds something else than it must.
    """
    if not isinstance(row["id"], str | int) or isinstance(row["id"], bool):
        raise ConfigError(f"{where}: id must be a text or a number, got {row['id']!r}")
    question = row.get("question")
    if not isinstance(question, str) or not question.strip():
        was = f"got {question!r}" if "question" in row else "but the row has none"
        raise ConfigError(f"{where}: question must be a text that is not empty, {was}")
    for key in ("context", "solution", "title"):
        if key in row and not isinstance(row[key], str):
            raise ConfigError(f"{where}: {key} must be a text, got {row[key]!r}")
    known = row.get("known")
    if not (known is None or isinstance(known, str) or _texts(known)):
        raise ConfigError(f"{where}: known must be a text or a list of texts, got {known!r}")
    if not _answered(row) and type(row.get("answer")) in (int, float):
        raise ConfigError(
            f"{where}: answer must be a text, got {row['answer']!r}; call it answer_number"
        )
    if not _answered(row):
        raise ConfigError(f"{where} has no answer; give it {ANSWERS}")
    _check_answers(row, where)
    _check_choices(row, where)


def _check_answers(row: Mapping[str, Any], where: str) -> None:
    answers, number = row.get("answers"), row.get("answer_number")
    if answers is not None and not _texts(answers):
        raise ConfigError(
            f'{where}: answers must be a list of texts that are not empty, such as ["2"], got '
            f"{answers!r}"
        )
    if number is None:
        return
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ConfigError(
            f"{where}: answer_number must be a number, got {number!r}; write it without quotes"
        )
    if not abs(number) <= sys.float_info.max:  # a whole number may be larger than any float
        raise ConfigError(f"{where}: answer_number must be finite, got {str(number)[:20]}")


def _check_choices(row: Mapping[str, Any], where: str) -> None:
    choices, label = row.get("choices"), row.get("label")
    if choices in (None, []):
        return
    if not _texts(choices) or len(choices) < 2:
        raise ConfigError(
            f"{where}: choices must be a list of two texts or more, none empty, got {choices!r}"
        )
    if len(set(map(str, choices))) < len(choices):
        raise ConfigError(f"{where}: choices must differ, got {choices!r}")
    if type(label) is not int or not 0 <= label < len(choices):
        raise ConfigError(
            f"{where}: label must be the place of the right one of its {len(choices)} choices, "
            f"a whole number from 0 on, got {label!r}"
        )


def _texts(value: Any) -> bool:
    """Say whether a value is a list of texts that say something, or of numbers for them."""
    return isinstance(value, list) and all(
        isinstance(each, str | int | float) and not isinstance(each, bool) and str(each).strip()
        for each in value
    )
