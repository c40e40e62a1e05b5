"""Which examples each item is shown before it is asked.

The draw is that of the Japanese harness: one generator shuffles the items of a part, then draws
each item's shots in turn, so that the shots of an item depend on its part and on nothing else, and
a prefix of the shuffled order is what a limit there takes.
"""

import random
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, get_args

from evoforge.errors import ConfigError
from evoforge.recipe import digest
from evoforge.task.base import PARTS, Item, ItemSource, Part, read_item
from evoforge.task.leaks import normalized

Draw = Literal["random", "stratified", "first"]
DRAWS: tuple[Draw, ...] = get_args(Draw)


class Shots:
    """The shots of every item of a task.

    A shot that asks the same as the item is left out, which leaves one less.

    Args:
        task: the task's name.
        items: where the task's items come from; its rows of the part `shots` are drawn from.
        parts: the task's items.
        count: shots of each item.
        draw: `random`; `stratified`, as many of each label as its share, at least about one; or
            `first`, the first ones, the same for all items.
        seed: of the draw; the harness has 42.
        rows: what is drawn from instead of the part `shots`.
        without: texts that are taken out of the rows, such as a heading that the prompt has too.

    Raises:
        ConfigError: an option makes no sense, or there are too few rows.
    """

    def __init__(
        self,
        task: str,
        items: ItemSource,
        parts: Mapping[Part, Sequence[Item]],
        *,
        count: int,
        draw: Draw = "random",
        seed: int = 42,
        rows: Sequence[Mapping[str, Any]] | None = None,
        without: Sequence[str] = (),
    ) -> None:
        _check(count, draw, seed)
        self.count, self.draw, self.seed = count, draw, seed
        given = items.rows("shots") if rows is None and count else rows or []
        if not isinstance(given, list | tuple) or not all(isinstance(r, Mapping) for r in given):
            raise ConfigError(
                "rows must be a list of mappings such as {question: 1+1=, answer_number: 2}, got "
                f"{given!r}; set task.shots.rows"
            )
        self.pool = tuple(
            read_item(task, "the shots", _stripped({"id": f"shot-{place}", **row}, without))
            for place, row in enumerate(given)
        )
        if len(self.pool) < count:
            raise ConfigError(
                f"{count} shots must be drawn from at least as many rows, {task} has "
                f"{len(self.pool)}; set task.items.shots, task.shots.rows or task.shots.count"
            )
        if draw == "stratified" and any(item.label is None for item in self.pool):
            raise ConfigError("stratified shots must have labels; set task.shots.draw=random")
        self._classes = _classes(self.pool) if draw == "stratified" else []
        self._texts = {id(shot): normalized(shot.question) for shot in self.pool}
        self._of: dict[str, tuple[Item, ...]] = {}
        self._order = {part: self._assign(parts[part]) for part in PARTS}

    def of(self, item: Item) -> tuple[Item, ...]:
        """Return the shots of an item of the task."""
        return self._of[item.id]

    def order(self, part: Part) -> tuple[Item, ...]:
        """Return a part's items in the order in which their shots were drawn."""
        return self._order[part]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What decides the shots, as JSON values."""
        rows = [
            [s.question, list(s.answers), s.answer_number, list(s.choices), s.label, dict(s.fields)]
            for s in self.pool
        ]
        return {"count": self.count, "draw": self.draw, "seed": self.seed, "rows": digest(rows)}

    def _assign(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """Draw the shots of a part's items and return these in the order of the draw."""
        generator = random.Random(self.seed)
        order = list(items)
        if self.draw != "first":
            generator.shuffle(order)
        for item in order:
            asked = normalized(item.question)
            drawn = self._drawn(generator) if self.count else ()
            self._of[item.id] = tuple(shot for shot in drawn if self._texts[id(shot)] != asked)
        return tuple(order)

    def _drawn(self, generator: random.Random) -> Sequence[Item]:
        if self.draw == "first":
            return self.pool[: self.count]
        if self.draw == "random":
            return generator.sample(self.pool, self.count)
        sizes = stratified([len(shots) for shots in self._classes], self.count)
        drawn = [
            shot
            for shots, size in zip(self._classes, sizes, strict=True)
            for shot in generator.sample(shots, size)
        ]
        generator.shuffle(drawn)
        return drawn


def stratified(available: Sequence[int], count: int) -> list[int]:
    """Return how many of each class make up a stratified draw.

    Each class has its share, rounded down; what is missing goes one by one to the class of which
    there are fewest.

    Args:
        available: rows of each class.
        count: of the draw, at most all rows.

    Example:
        >>> stratified([5801, 1118], 3), stratified([55, 30, 15], 3)
        ([2, 1], [1, 1, 1])
    """
    sizes = [rows * count // sum(available) for rows in available]
    while sum(sizes) < count:
        open_ = [place for place, size in enumerate(sizes) if size < available[place]]
        sizes[min(open_, key=sizes.__getitem__)] += 1
    return sizes


def _classes(pool: Sequence[Item]) -> list[list[Item]]:
    """Return the rows of each label, in the order of the labels."""
    classes: dict[int, list[Item]] = {}
    for shot in pool:
        assert shot.label is not None
        classes.setdefault(shot.label, []).append(shot)
    return [classes[label] for label in sorted(classes)]


def _check(count: int, draw: str, seed: int) -> None:
    for name, value in (("count", count), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ConfigError(
                f"{name} must be a whole number from 0 on, got {value!r}; set task.shots.{name}"
            )
    if draw not in DRAWS:
        raise ConfigError(
            f"draw must be one of {', '.join(DRAWS)}, got {draw}; set task.shots.draw"
        )


def _stripped(row: Mapping[str, Any], without: Sequence[str]) -> dict[str, Any]:
    if not isinstance(without, list | tuple) or not all(isinstance(t, str) for t in without):
        raise ConfigError(
            f"without must be a list of texts, got {without!r}; set task.shots.without"
        )
    stripped = dict(row)
    for text in without:
        stripped = {
            key: value.replace(text, "") if isinstance(value, str) else value
            for key, value in stripped.items()
        }
    return stripped
