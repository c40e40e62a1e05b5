"""What every task is: items in three disjoint parts, a protocol, and scores for answers.

A task knows texts; it does not know which model answers, nor how. It says what each item asks for
(`evoforge.task.request`), and what each response is worth. An item's score never depends on other
items; what items weigh in a set of them does, so a score is the weighted mean of its items'.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from statistics import fmean
from typing import Any, Literal, Protocol, get_args

from evoforge.errors import ConfigError
from evoforge.recipe import digest
from evoforge.task.leaks import asked, check_disjoint
from evoforge.task.leaks import normalized as normalized
from evoforge.task.picture import Picture
from evoforge.task.request import Request, Response

Part = Literal["search", "select", "test"]
PARTS: tuple[Part, ...] = get_args(Part)

# Part of every protocol's hash; to be counted up whenever the same settings score otherwise.
FORMAT = 1


@dataclass(frozen=True)
class Item:
    """One example of a task.

    Args:
        id: unique in its task.
        question: what the model is asked.
        answers: accepted answers as text; the first is canonical.
        answer_number: the gold number of a maths item.
        choices: what a multiple-choice item offers.
        label: the place of the right choice.
        fields: everything else the data holds.
        part: of the task.
        stratum: the task of several that the item is of; samples hold as many of each.
        picture: what the item shows.
    """

    id: str
    question: str
    answers: tuple[str, ...] = ()
    answer_number: float | None = None
    choices: tuple[str, ...] = ()
    label: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    part: Part = "search"
    stratum: str = ""
    picture: Picture | None = None


class ItemSource(Protocol):
    """Where items come from: a generator, files, or a data set on the hub."""

    def rows(self, part: str) -> list[dict[str, Any]]:
        """Return the rows of a part.

        Each has `id` and `question`, one of `answers`, `answer_number`, and `choices` with `label`,
        and if there is something to be seen `image`: anything that `Picture.of` takes.
        """
        ...


class ReadOnce:
    """A source that is asked once for each part, though several tasks are made of its items.

    Args:
        items: what is asked.
    """

    def __init__(self, items: ItemSource) -> None:
        self.rows = cache(items.rows)


@dataclass(frozen=True)
class Judgement:
    """What a set of responses is worth.

    Args:
        score: of the main metric, in its own units.
        fitness: higher is better.
        metrics: of the whole set.
    """

    score: float
    fitness: float
    metrics: Mapping[str, float]


class Task(ABC):
    """Items, what they ask for, and scores.

    Args:
        name: what the task is called in tables.
        items: where its items come from.

    Raises:
        ConfigError: a part is empty, an id occurs twice, or a question or a picture is in two
            parts.
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
    def higher_is_better(self) -> bool:
        """The main metric's direction."""
        return True

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Everything that decides a score beside the model and the items, as JSON values.

        What holds in the search alone (it is cut short where reports are not) is under `search`.
        """

    @abstractmethod
    def request(self, item: Item) -> Request:
        """Return what the model is asked."""

    @abstractmethod
    def score(self, item: Item, response: Response) -> dict[str, float]:
        """Return every metric of one response, the main one among them."""

    def prepare(self, tokenizer: Any) -> None:
        """Tell the task which tokenizer the models have; most tasks do not care.

        A chat's protocol is known after this alone: the models' template is part of it.

        Args:
            tokenizer: transformers' own.

        Raises:
            ConfigError: the task needs another, such as one with a chat template.
        """
        del tokenizer
        self.__dict__.pop("_hashes", None)

    @property
    def proxy(self) -> "Task | None":
        """A task on the same items that costs less, if there is one."""
        return None

    def weights(self, items: Sequence[Item]) -> tuple[float, ...]:
        """Return what each item of a set counts in its score; the sum is 1.

        A score is the weighted mean of its items' scores.
        """
        return (1 / len(items),) * len(items)

    def judge(self, items: Sequence[Item], metrics: Sequence[Mapping[str, float]]) -> Judgement:
        """Return what the responses to a set of items are worth together.

        Args:
            items: at least one.
            metrics: of each item's response, from `score`.
        """
        main = [found[self.metric] for found in metrics]
        score = sum(w * m for w, m in zip(self.weights(items), main, strict=True))
        means = {name: fmean(found[name] for found in metrics) for name in metrics[0]}
        fitness = score if self.higher_is_better else -score
        return Judgement(score, fitness, {**means, self.metric: score})

    def protocol(self, part: Part) -> Mapping[str, Any]:
        """Return the settings that hold in a part."""
        rest = dict(self.settings)
        search = rest.pop("search", None)
        return {**rest, "search": search} if search and part == "search" else rest

    def protocol_hash(self, part: Part) -> str:
        """Return the identity of a part's protocol."""
        return self._hashes[part]

    @property
    def told(self) -> dict[str, Any]:
        """What reports say: the protocol of reports, and where the search's is another."""
        found = {**self.protocol("test"), "hash": self.protocol_hash("test")}
        if self.protocol_hash("search") != found["hash"]:
            own = self.protocol_hash("search")
            found |= {"search": self.settings["search"], "search_hash": own}
        return found

    @cached_property
    def _hashes(self) -> dict[Part, str]:
        return {
            part: digest({"format": FORMAT, "protocol": dict(self.protocol(part))})
            for part in PARTS
        }

    @cached_property
    def items_hash(self) -> str:
        """The identity of all items: all that they hold, for a prompt may name any of it."""
        return digest(
            [
                [part, item.id, item.question, list(item.answers), item.answer_number]
                + ([list(item.choices), item.label] if item.choices else [])
                + ([{key: str(value) for key, value in item.fields.items()}] if item.fields else [])
                + ([item.picture.digest] if item.picture else [])
                for part in PARTS
                for item in self.items(part)
            ]
        )


def _items(task: str, part: Part, rows: Sequence[Mapping[str, Any]]) -> tuple[Item, ...]:
    if not rows:
        raise ConfigError(f"the {part} part of {task} has no items; set task.items")
    return tuple(read_item(task, f"the {part} part", row, part) for row in rows)


def read_item(task: str, where: str, row: Mapping[str, Any], part: Part = "search") -> Item:
    """Return the item of a row.

    Args:
        task: the task's name.
        where: the row is from, for errors.
        row: see `ItemSource.rows`.
        part: of the task.

    Raises:
        ConfigError: the row lacks something, or something in it is of the wrong kind.
    """
    rest = dict(row)
    try:
        name, question = str(rest.pop("id")), str(rest.pop("question"))
    except KeyError as error:
        raise ConfigError(f"an item of {where} of {task} has no {error.args[0]}") from None
    image = rest.pop("image", None)
    given, choices = rest.pop("answers", None) or [], rest.pop("choices", None) or []
    number, label = rest.pop("answer_number", None), rest.pop("label", None)
    for key, value in (("answers", given), ("choices", choices)):
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{key} of the item {name} of {task} must be a list, got {value!r}")
    if number is not None and not _is_number(number):
        raise ConfigError(
            f"answer_number of the item {name} of {task} must be a finite number, got {number!r}"
        )
    if choices and not (type(label) is int and 0 <= label < len(choices)):
        raise ConfigError(
            f"label of the item {name} of {task} must be the place of the right one of its "
            f"{len(choices)} choices, counted from 0, got {label!r}"
        )
    if not given and number is None and not choices:
        raise ConfigError(
            f"the item {name} of {task} has none of answers, answer_number and choices"
        )
    return Item(
        name,
        question,
        tuple(map(str, given)),
        None if number is None else float(number),
        tuple(map(str, choices)),
        label if choices else None,
        rest,
        part,
        picture=None if image is None else Picture.of(image, f"the item {name} of {task}"),
    )


def _is_number(value: Any) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and abs(value) <= sys.float_info.max


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
    """Refuse parts that share an item."""
    check_disjoint(
        {part: [asked({**i.fields, **vars(i)}) for i in items] for part, items in parts.items()}
    )
