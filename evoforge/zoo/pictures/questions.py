"""Questions about a scene and their answers, the same in English and Japanese.

An answer names several things, so that one who guesses gets little of it right.
"""

import random
from dataclasses import dataclass

from evoforge.zoo.pictures.scenes import Scene
from evoforge.zoo.pictures.words import (
    ASKS,
    AT,
    CELLS,
    COLOURS,
    JOINS,
    NUMBERS,
    REGIONS,
    SHAPES,
    SIDES,
    SOLUTIONS,
)


@dataclass(frozen=True)
class Question:
    """One question about a scene.

    Args:
        scene: what the picture shows.
        kind: one of `KINDS`.
        about: the region (`shape`, `colour`), the thing's cell (`position`), or what is counted
            (`count`): a colour, or a shape as the number of colours plus its index.
    """

    scene: Scene
    kind: str
    about: int

    def text(self, language: str) -> str:
        """Ask it."""
        return ASKS[self.kind][language].format(
            where=REGIONS[self.about][0][language] if self.kind in ("shape", "colour") else "",
            what=self._counted(language)
            if self.kind == "count"
            else self.scene.at(self.about % len(CELLS), language),
        )

    def answer(self, language: str) -> str:
        """Answer it."""
        if self.kind == "position":
            return self._position(language)
        names = self._names(language)
        return SOLUTIONS[self.kind][language].format(
            list=JOINS[language].join(names), number=NUMBERS[len(names) - 1][language]
        )

    def _names(self, language: str) -> list[str]:
        if self.kind == "count":
            return self._found(language)
        cells = REGIONS[self.about][1]
        things = [thing for cell in cells if (thing := self.scene.cells[cell]) is not None]
        if self.kind == "shape":
            return [thing.name(language) for thing in things]
        return [COLOURS[thing.colour][language] for thing in things]

    def _counted(self, language: str) -> str:
        if self.about < len(COLOURS):
            return COLOURS[self.about][language]
        return SHAPES[self.about - len(COLOURS)][language]

    def _found(self, language: str) -> list[str]:
        """Name the cell and the other trait of each thing that is counted."""
        names = []
        for cell, (colour, shape) in self.scene.things():
            if self.about == colour:
                what = SHAPES[shape][language]
            elif self.about == len(COLOURS) + shape:
                what = COLOURS[colour][language]
            else:
                continue
            names.append(AT[language].format(cell=CELLS[cell][language], what=what))
        return names

    def _position(self, language: str) -> str:
        beside, along = self.about ^ 1, self.about ^ 2
        return SOLUTIONS["position"][language].format(
            cell=CELLS[self.about][language],
            beside=SIDES[beside % 2][language],
            neighbour=self.scene.at(beside, language),
            along=SIDES[2 + along // 2][language],
            other=self.scene.at(along, language),
        )


def ask(rng: random.Random, scene: Scene, kind: str) -> Question | None:
    """Draw a question of a kind that has one clear answer, or None if the scene has none."""
    things = scene.things()
    if kind in ("shape", "colour"):
        full = [
            region
            for region, (_, cells) in enumerate(REGIONS)
            if sum(scene.cells[cell] is not None for cell in cells) >= 2
        ]
        return Question(scene, kind, rng.choice(full)) if full else None
    if kind == "count":
        colours = [thing.colour for _, thing in things]
        shapes = [len(COLOURS) + thing.shape for _, thing in things]
        # Drawn from the things, so that what is there twice is asked about twice as often.
        return Question(scene, kind, rng.choice(colours + shapes))
    once = [cell for cell, thing in things if scene.cells.count(thing) == 1]
    return Question(scene, kind, rng.choice(once)) if once else None
