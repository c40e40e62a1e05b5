"""What every task is: items in three disjoint parts, a protocol, and scores for answers.

A task knows texts; it does not know which model answers, nor how.
"""

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, get_args

from evoforge.errors import ConfigError
from evoforge.recipe import digest

Part = Literal["search", "select", "test"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class Item:
    """One example of a task.

    Args:
        id: unique in its task.
        question: what the model is asked.
        answers: accepted answers as text; the first is canonical.
        answer_number: the gold number of a maths item.
        fields: everything else the data holds.
    """

    id: str
    question: str
    answers: tuple[str, ...] = ()
    answer_number: float | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


class ItemSource(Protocol):
    """Where items come from: a generator, or files."""

    def rows(self, part: str) -> list[dict[str, Any]]:
        """Return the rows of a part: `id`, `question` and `answers` or `answer_number`."""
        ...


class Task(ABC):
    """Items, prompts and scores.

    Args:
        name: what the task is called in tables.
        items: where its items come from.

    Raises:
        ConfigError: a part is empty, an id occurs twice, or a question is in two parts.
    """

    def __init__(self, *, name: str, items: ItemSource) -> None:
        self.name = name
        self._parts = {part: _items(name, part, items.rows(part)) for part in PARTS}
        _check_ids(name, self._parts)
        _check_disjoint(self._parts)

    def items(self, part: Part) -> tuple[Item, ...]:
        """Return the items of a part, in order."""
        return self._parts[part]

    @property
    @abstractmethod
    def metric(self) -> str:
        """The name of the main metric."""

    @property
    @abstractmethod
    def higher_is_better(self) -> bool:
        """The main metric's direction."""

    @property
    @abstractmethod
    def protocol(self) -> Mapping[str, Any]:
        """Everything that decides a score beside the model and the items, as JSON values."""

    @abstractmethod
    def prompt(self, item: Item) -> str:
        """Return what the model is given to continue."""

    @abstractmethod
    def score(self, item: Item, completion: str) -> dict[str, float]:
        """Return every metric of one answer."""

    @cached_property
    def protocol_hash(self) -> str:
        """The identity of the protocol."""
        return digest(dict(self.protocol))

    @cached_property
    def items_hash(self) -> str:
        """The identity of all items: ids, questions and answers of every part."""
        return digest(
            [
                [part, item.id, item.question, list(item.answers), item.answer_number]
                for part in PARTS
                for item in self._parts[part]
            ]
        )

    def fitness(self, score: float) -> float:
        """Return a score as a number where higher is better."""
        return score if self.higher_is_better else -score


def _items(task: str, part: str, rows: Sequence[Mapping[str, Any]]) -> tuple[Item, ...]:
    if not rows:
        raise ConfigError(f"the {part} part of {task} has no items; set task.items")
    return tuple(_item(task, part, row) for row in rows)


def _item(task: str, part: str, row: Mapping[str, Any]) -> Item:
    rest = dict(row)
    try:
        name, question = str(rest.pop("id")), str(rest.pop("question"))
    except KeyError as error:
        raise ConfigError(f"an item of the {part} part of {task} has no {error.args[0]}") from None
    given = rest.pop("answers", [])
    number = rest.pop("answer_number", None)
    if not isinstance(given, list | tuple):
        raise ConfigError(f"answers of the item {name} of {task} must be a list, got {given!r}")
    if number is not None and (isinstance(number, bool) or not isinstance(number, int | float)):
        raise ConfigError(
            f"answer_number of the item {name} of {task} must be a number, got {number!r}"
        )
    if not given and number is None:
        raise ConfigError(f"the item {name} of {task} has neither answers nor answer_number")
    answers = tuple(map(str, given))
    return Item(name, question, answers, None if number is None else float(number), rest)


def normalized(text: str) -> str:
    """Return a text as it is compared between parts: one form of characters, no white space."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).casefold()


def _check_ids(task: str, parts: Mapping[Part, Sequence[Item]]) -> None:
    """Refuse ids that occur twice: results are filed under them."""
    seen: dict[str, str] = {}
    for part, items in parts.items():
        for item in items:
            if item.id in seen:
                raise ConfigError(
                    f"two items of {task} have the id {item.id}, in the {seen[item.id]} part and "
                    f"in the {part} part; ids must be unique: set task.items"
                )
            seen[item.id] = part


def _check_disjoint(parts: Mapping[Part, Sequence[Item]]) -> None:
    seen: dict[str, tuple[str, str]] = {}
    for part, items in parts.items():
        for item in items:
            where = seen.setdefault(normalized(item.question), (part, item.id))
            if where[0] != part:
                raise ConfigError(
                    f"{item.id} of the {part} part asks the same as {where[1]} of the {where[0]} "
                    "part; search, select and test must share no item: set task.items"
                )
