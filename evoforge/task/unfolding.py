"""Rows that hold a list of questions each, as rows of one question."""

from collections.abc import Mapping, Sequence
from typing import Any

from evoforge.errors import ConfigError
from evoforge.task.rows import place


def check_unfold(given: Any, option: str) -> None:
    """Refuse what does not say which list is unfolded.

    Args:
        given: a key, or `{list: key, most: count}`; None for nothing.
        option: as the user names it.
    """
    if given is None or isinstance(given, str):
        return
    most = given.get("most") if isinstance(given, Mapping) else 0
    named = isinstance(given, Mapping) and set(given) <= {"list", "most"} and "list" in given
    if not named or not (most is None or (type(most) is int and most > 0)):
        raise ConfigError(
            f"unfold must be a key, or {{list, most}} with most from 1 on, got {given!r}; "
            f"set {option}"
        )


def unfolded(
    rows: Sequence[Mapping[str, Any]], given: Any, source: str, option: str
) -> list[dict[str, Any]]:
    """Return the entries of a list in each row, each with the rest of its row.

    A row without the list that asks something is one row already.

    Args:
        rows: as read.
        given: a key, or `{list: key, most: count}`.
        source: of the rows, for errors.
        option: as the user names it.

    Raises:
        ConfigError: a row has no such list, or none has an entry.
    """
    key, most = (given, None) if isinstance(given, str) else (given["list"], given.get("most"))
    found: list[dict[str, Any]] = []
    for row in rows:
        entries = row.get(key)
        if entries is None and "question" in row:
            found.append(dict(row))
            continue
        entries = _entries(entries)
        if not isinstance(entries, list) or not all(isinstance(one, Mapping) for one in entries):
            raise ConfigError(
                f"{place(row, source)}: {key} must be a list of objects, got {row.get(key)!r}; "
                f"set {option}"
            )
        rest = {name: value for name, value in row.items() if name != key}
        found += [
            {**rest, **entry, "id": f"{row['id']}-{number}", "_entry": number}
            for number, entry in enumerate(entries[:most], start=1)
        ]
    if not found:
        raise ConfigError(f"no row of {source} has an entry in {key}; set {option}")
    return found


def _entries(given: Any) -> Any:
    """Return a list of mappings for a mapping of lists, as older data sets have it."""
    if not isinstance(given, Mapping) or not all(isinstance(v, list) for v in given.values()):
        return given
    if len({len(values) for values in given.values()}) > 1:
        return given
    return [dict(zip(given, values, strict=True)) for values in zip(*given.values(), strict=True)]
