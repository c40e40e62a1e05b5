"""Toy items: one question a part, unless a test gives rows of its own."""

from io import BytesIO

import pytest
from PIL import Image

from evoforge.task.base import Task
from evoforge.task.request import Context, Generate

ROWS = {
    "search": [{"id": "s1", "question": "1+1=", "answer_number": 2}],
    "select": [{"id": "v1", "question": "1+2=", "answer_number": 3}],
    "test": [{"id": "t1", "question": "1+3=", "answer_number": 4}],
}


class Items:
    """Items that a test names, by part."""

    def __init__(self, **rows):
        self._rows = {**ROWS, **rows}

    def rows(self, part):
        return [dict(row) for row in self._rows[part]]


@pytest.fixture
def items():
    """Return a maker of items: `items(search=[row, ...])`."""
    return Items


class Toy(Task):
    """A task that says nothing but the question."""

    metric, settings = "acc", {}

    def request(self, item):
        return Generate(Context(item.question), 8)

    def score(self, item, response):
        return {"acc": 0.0}


def png(colour="red", size=(2, 2)):
    """Return the file of a picture of one colour."""
    out = BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


COLOURS = ("red", "green", "blue", "yellow", "black", "white", "pink", "orange", "gray", "brown")


def shown(rows=2, **more):
    """Return rows with a picture each, by part: as `items(**shown())`."""
    parts = ("search", "select", "test")
    colours = iter(COLOURS)
    return {
        part: [
            {
                "id": f"{part}{i}",
                "question": "何色ですか。",
                "answers": ["赤い色です。"],
                "image": png(next(colours)),
                **more,
            }
            for i in range(rows)
        ]
        for part in parts
    }
