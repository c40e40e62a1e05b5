"""Scenes: two to four coloured shapes in a grid of two by two cells, in four disjoint parts.

A stable hash of the scene puts it into exactly one part, whatever is asked about it and in which
language, so a model is never tested on a picture that it was trained on. Knows neither pixels nor
models.
"""

import random
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NamedTuple

from evoforge.zoo.pictures.words import AT, CELLS, COLOURS, EMPTY, JOINS, SCENES, SHAPES
from evoforge.zoo.problems import PARTS

# How often a scene has two, three or four things.
SIZES: Final = {2: 1, 3: 3, 4: 4}


class Thing(NamedTuple):
    """A coloured shape: indices into `COLOURS` and `SHAPES`."""

    colour: int
    shape: int

    def name(self, language: str) -> str:
        """Return such as "red star"."""
        colour, shape = COLOURS[self.colour], SHAPES[self.shape]
        gap = " " if language == "en" else colour["link"]
        return colour[language] + gap + shape[language]


@dataclass(frozen=True)
class Scene:
    """What a picture shows.

    Args:
        cells: what is in each cell, row by row; None for nothing.
    """

    cells: tuple[Thing | None, ...]

    def at(self, cell: int, language: str) -> str:
        """Name what is in a cell."""
        thing = self.cells[cell]
        return EMPTY[language] if thing is None else thing.name(language)

    def things(self) -> list[tuple[int, Thing]]:
        """Return every thing and its cell."""
        return [(cell, thing) for cell, thing in enumerate(self.cells) if thing is not None]

    def told(self, language: str) -> str:
        """Tell the scene in words, empty cells too."""
        places = (
            AT[language].format(cell=name[language], what=self.at(cell, language))
            for cell, name in enumerate(CELLS)
        )
        return SCENES[language].format(list=JOINS[language].join(places))

    @property
    def key(self) -> str:
        """The scene as a short text."""
        return " | ".join(self.at(cell, "en") for cell in range(len(CELLS)))


def part_of(scene: Scene) -> str:
    """Name the one part that a scene belongs to."""
    digest = blake2b(scene.key.encode(), digest_size=8).digest()
    place = int.from_bytes(digest, "big") % 100
    for part, percent in PARTS.items():
        if place < percent:
            return part
        place -= percent
    raise AssertionError("the percentages of PARTS sum to 100")


def draw(rng: random.Random, part: str) -> Scene:
    """Draw one scene of a part; in half of them colours repeat, in half of them shapes do."""
    while True:
        sizes, weights = zip(*SIZES.items(), strict=True)
        size = rng.choices(sizes, weights)[0]
        colours = rng.sample(range(len(COLOURS)), rng.choice((2, len(COLOURS))))
        shapes = rng.sample(range(len(SHAPES)), rng.choice((2, len(SHAPES))))
        filled = rng.sample(range(len(CELLS)), size)
        cells: list[Thing | None] = [None] * len(CELLS)
        for cell in filled:
            cells[cell] = Thing(rng.choice(colours), rng.choice(shapes))
        scene = Scene(tuple(cells))
        if part_of(scene) == part:
            return scene
