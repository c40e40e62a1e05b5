"""Whether two parts ask the same: by texts, by pictures, and by what their items are known as.

Knows what items say and where they come from; does not know where they are kept.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

from evoforge.errors import ConfigError
from evoforge.task.picture import Picture

# How many items of each side a sentence names.
NAMED = 5
# Data sets whose items are problems of GSM8K in other words; their ids end with the row, and where
# a translation left rows out, `gsm8k_index` is the row.
GSM8K = re.compile(r"(?:gsm8k(?:_[a-z]{2})?-(train|test)|mgsm_[a-z]{2}-(test))-0*(\d+)")


@dataclass(frozen=True)
class Asked:
    """What identifies an item.

    Args:
        id: of the item.
        texts: its question, and what it was translated from; normalised.
        context: its passage, if it has one; normalised.
        choices: what it offers, if it does; normalised and sorted.
        known: names that the same problem has in every language, such as `gsm8k/test/0`.
        picture: the digest of what it shows; a question about a picture is nothing by itself.
    """

    id: str
    texts: frozenset[str]
    context: str | None
    choices: tuple[str, ...] | None
    known: frozenset[str]
    picture: str | None = None

    def same(self, other: "Asked") -> bool:
        """Say whether two items of one text are the same: no passage and no choice tells."""
        contexts, choices = {self.context, other.context}, {self.choices, other.choices}
        return (None in contexts or len(contexts) == 1) and (None in choices or len(choices) == 1)


@lru_cache(maxsize=1 << 16)  # the same texts are compared for several parts, and in suites again
def normalized(text: str) -> str:
    """Return a text as it is compared between parts: one form of characters, no white space."""
    return "".join(unicodedata.normalize("NFKC", text).split()).casefold()


def asked(row: Mapping[str, Any]) -> Asked:
    """Return what identifies a row of data with its picture read, or an item as one."""
    shown = row.get("picture") or row.get("image")
    texts = [row["question"], *([row["question_en"]] if row.get("question_en") else [])]
    context, choices = row.get("context"), row.get("choices")
    return Asked(
        str(row["id"]),
        frozenset(normalized(str(text)) for text in texts),
        normalized(str(context)) if context else None,
        tuple(sorted(normalized(str(choice)) for choice in choices)) if choices else None,
        frozenset(_known(row)),
        shown.digest if isinstance(shown, Picture) else None,
    )


def _known(row: Mapping[str, Any]) -> Iterator[str]:
    given = row.get("known") or []
    yield from [given] if isinstance(given, str) else map(str, given)
    found = GSM8K.fullmatch(str(row["id"]).rpartition("/")[2])
    if found:
        index = row.get("gsm8k_index", -1)
        number = index if isinstance(index, int) and index >= 0 else int(found[3])
        yield f"gsm8k/{found[1] or found[2]}/{number}"


def shared(first: Iterable[Asked], second: Iterable[Asked]) -> list[tuple[Asked, Asked]]:
    """Return the pairs of the same item in two sets, in the order of the second; one for each."""
    named: dict[str, Asked] = {}
    seen: dict[str, Asked] = {}
    told: defaultdict[tuple[Any, ...], list[Asked]] = defaultdict(list)
    for item in first:
        named.update((name, item) for name in item.known)
        if item.picture is not None:
            seen.setdefault(item.picture, item)
            continue
        for text in item.texts:
            told[text, "context", item.context].append(item)
            told[text, "choices", item.choices].append(item)
            told[text,].append(item)
    found = []
    for item in second:
        twin = next((named[name] for name in sorted(item.known) if name in named), None)
        if item.picture is not None:
            twin = twin or seen.get(item.picture)
        else:
            twin = twin or next((t for t in _alike(item, told) if t.same(item)), None)
        if twin is not None:
            found.append((twin, item))
    return found


def _alike(item: Asked, told: Mapping[tuple[Any, ...], list[Asked]]) -> Iterator[Asked]:
    """Yield what may be the same, without going through all that share a question alone."""
    for text in sorted(item.texts):
        if item.context is not None:
            keys: list[tuple[Any, ...]] = [(text, "context", c) for c in (item.context, None)]
        elif item.choices is not None:
            keys = [(text, "choices", c) for c in (item.choices, None)]
        else:
            keys = [(text,)]
        for key in keys:
            yield from told.get(key, ())


def check_disjoint(parts: Mapping[str, Sequence[Asked]]) -> None:
    """Refuse parts that share an item: what the search saw must not be reported on.

    Raises:
        ConfigError: two parts share items; names some of each and the option.
    """
    for first, second in combinations(parts, 2):
        pairs = shared(parts[first], parts[second])
        if pairs:
            mine, other = _names(pair[1] for pair in pairs), _names(pair[0] for pair in pairs)
            does = "show the same picture as" if _seen(pairs) else "ask the same as"
            raise ConfigError(
                f"{mine} of the {second} part {does if len(pairs) > 1 else _one(does)} "
                f"{other} of the {first} part{_reason(pairs)}; search, select and test must share "
                f"no item: set task.items.{first} or task.items.{second}"
            )


def _names(items: Iterable[Asked]) -> str:
    ids = list(dict.fromkeys(item.id for item in items))
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(ids[:NAMED]) + more


def _one(does: str) -> str:
    verb, _, rest = does.partition(" ")
    return f"{verb}s {rest}"


def _seen(pairs: Sequence[tuple[Asked, Asked]]) -> bool:
    """Whether two items are known to be one by their picture."""
    first, second = pairs[0]
    return first.picture is not None and first.picture == second.picture


def _reason(pairs: Sequence[tuple[Asked, Asked]]) -> str:
    """Say by what name two items are known to be one, where neither text nor picture tells."""
    first, second = pairs[0]
    known = sorted(first.known & second.known)
    alike = _seen(pairs) or (first.texts & second.texts and not first.picture)
    return "" if alike or not known else f" ({known[0]})"
