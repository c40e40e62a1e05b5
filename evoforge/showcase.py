"""Test items that a run keeps to show answers by, and who answered what to them.

A record has all that is shown, small copies of pictures included, so reports and trackers need no
task.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image

from evoforge.errors import ConfigError
from evoforge.record import BASELINE, WINNER, Example, Record
from evoforge.task.base import Item
from evoforge.task.picture import Picture

# Pixels; the longer side of a picture that is kept.
SIDE = 256


@dataclass(frozen=True)
class Answer:
    """What one model answered to an example.

    Args:
        model: a source's name, or `winner`.
        text: the answer; empty of a model that failed.
        score: of the main metric; None of a model that failed.
        speaks: whether the answer is in the wanted language; None where no language is wanted.
    """

    model: str
    text: str
    score: float | None
    speaks: bool | None = None


@dataclass(frozen=True)
class Shown:
    """An example with the answers of the sources, and the winner's last."""

    example: Example
    answers: tuple[Answer, ...]


def shown(record: Record) -> list[Shown]:
    """Return the examples of a run; nothing before the winner has answered the test items."""
    roles = record.roles()
    if (WINNER, "test") not in roles or not (kept := record.examples()):
        return []
    try:
        sources = [source["name"] for source in json.loads(record.meta("sources"))]
    except KeyError:
        sources = []
    found: dict[str, dict[str, Answer]] = {}
    for model in (*sources, WINNER):
        number = roles.get((model if model == WINNER else f"{BASELINE}{model}", "test"))
        if number is not None:
            found[model] = _answers(record, model, number, [each.item for each in kept])
    return [Shown(each, tuple(own[each.item] for own in found.values())) for each in kept]


def _answers(record: Record, model: str, number: int, items: Sequence[str]) -> dict[str, Answer]:
    """Return a model's answers by item."""
    evaluation = record.evaluation(number)
    failed = dict.fromkeys(items, Answer(model, "", None))
    if evaluation.status == "failed":
        return failed
    results = record.results(evaluation.recipe, evaluation.protocol, items)
    answers = {
        item: Answer(
            model,
            result.completion,
            result.score,
            None if "lang" not in result.metrics else result.metrics["lang"] > 0,
        )
        for item, result in results.items()
    }
    return failed | answers


def examples(items: Sequence[Item]) -> list[Example]:
    """Return what is kept of some items."""
    return [
        Example(
            item.id,
            item.question,
            gold(item),
            None if item.picture is None else thumbnail(item.picture),
        )
        for item in items
    ]


def questions(items: Sequence[Item]) -> dict[str, list[Any]]:
    """Return the question of each item and what would be right, by its id."""
    return {item.id: [item.question, list(gold(item))] for item in items}


def gold(item: Item) -> tuple[str, ...]:
    """Return what would be right, as texts."""
    if item.answers:
        return item.answers
    if item.choices and item.label is not None:
        return (item.choices[item.label],)
    return () if item.answer_number is None else (f"{item.answer_number:.15g}",)


def thumbnail(picture: Picture) -> bytes | None:
    """Return a PNG of at most 256 by 256 pixels and without metadata; None of a damaged file.

    A picture that does not decode makes failed items, whose reasons say so.
    """
    try:
        image = picture.image()
    except ConfigError:
        return None
    image.thumbnail((SIDE, SIDE))
    # A new picture, for a photograph's own may say where it was taken.
    plain = Image.new("RGB", image.size)
    plain.paste(image)
    out = BytesIO()
    plain.save(out, "PNG", optimize=True)
    return out.getvalue()
