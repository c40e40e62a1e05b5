"""Questions about a scene and their answers, the same in English and Japanese.

An answer names several things, so that one who guesses gets little of it right.
"""

import random
from dataclasses import dataclass

from evoforge.zoo.pictures.scenes import Scene
from evoforge.zoo.pictures.words import (
    ASKS,
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
        kind: one of `KINDS`: `shape` asks what is in a region, `colour` which colours, `count` how
            many things and of which shapes, and `position` what is around a cell.
        about: index of the region, or of the cell.
    """

    scene: Scene
    kind: str
    about: int

    def text(self, language: str) -> str:
        """Ask it."""
        if self.kind == "position":
            return ASKS["position"][language].format(cell=CELLS[self.about][language])
        return ASKS[self.kind][language].format(where=REGIONS[self.about][0][language])

    def answer(self, language: str) -> str:
        """Answer it."""
        if self.kind == "position":
            return self._around(language)
        names = self._names(language)
        return SOLUTIONS[self.kind][language].format(
            list=JOINS[language].join(names), number=NUMBERS[len(names) - 1][language]
        )

    def _names(self, language: str) -> list[str]:
        cells = REGIONS[self.about][1]
        things = [thing for cell in cells if (thing := self.scene.cells[cell]) is not None]
        if self.kind == "shape":
            return [thing.name(language) for thing in things]
        if self.kind == "colour":
            return [COLOURS[thing.colour][language] for thing in things]
        return [SHAPES[thing.shape][language] for thing in things]

    def _around(self, language: str) -> str:
        beside, along = self.about ^ 1, self.about ^ 2
        return SOLUTIONS["position"][language].format(
            beside=SIDES[beside % 2][language],
            neighbour=self.scene.at(beside, language),
            along=SIDES[2 + along // 2][language],
            other=self.scene.at(along, language),
        )


def ask(rng: random.Random, scene: Scene, kind: str) -> Question | None:
    """Draw a question of a kind with enough to tell, or None if the scene has too little for it."""
    full = [thing is not None for thing in scene.cells]
    if kind == "position":
        places = [cell for cell in range(len(CELLS)) if full[cell ^ 1] and full[cell ^ 2]]
    else:
        least = 1 if kind == "count" else 2
        places = [
            region
            for region, (_, cells) in enumerate(REGIONS)
            if sum(full[cell] for cell in cells) >= least
        ]
    return Question(scene, kind, rng.choice(places)) if places else None
