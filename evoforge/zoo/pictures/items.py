"""Questions about unseen pictures, as rows for a task."""

import random
from collections.abc import Iterator
from typing import Any, Final

from evoforge.zoo.drawn import Drawn
from evoforge.zoo.pictures.drawing import pixels, png
from evoforge.zoo.pictures.questions import Question, ask
from evoforge.zoo.pictures.scenes import Scene, draw
from evoforge.zoo.pictures.words import KINDS

# Every part holds far more scenes than this: drawing never runs dry.
MAX_ITEMS: Final = 4000


class Pictures(Drawn[Question]):
    """Pictures, questions and answers: an equal mix of kinds, no scene twice.

    The same seed gives the same pictures and questions in both languages. A row's `image` is a PNG
    file's bytes; `scene` tells in words what it shows.

    Args:
        language: "en" or "ja".
        search: number of items the search may see, 1 to 4000.
        select: number of items for choosing the final candidate, likewise.
        test: number of items for the final figures, likewise.
        seed: which scenes are drawn from each part, 0 or more.

    Raises:
        ConfigError: an option is outside its range.
    """

    def __init__(
        self,
        *,
        language: str = "ja",
        search: int = 512,
        select: int = 256,
        test: int = 512,
        seed: int = 0,
    ) -> None:
        sizes = {"search": search, "select": select, "test": test}
        super().__init__(language, sizes, limit=MAX_ITEMS, seed=seed)

    def _distinct(self, part: str) -> Iterator[Question]:
        rng = random.Random(f"evoforge pictures {part} {self._seed}")
        seen: set[Scene] = set()
        while True:
            for kind in KINDS:
                question = None
                while question is None or question.scene in seen:
                    question = ask(rng, draw(rng, part), kind)
                seen.add(question.scene)
                yield question

    def _row(self, part: str, index: int, question: Question) -> dict[str, Any]:
        return {
            "id": f"pictures-{self._language}-{part}-{index:05d}",
            "question": question.text(self._language),
            "answers": [question.answer(self._language).strip()],
            "image": png(pixels(question.scene, f"{part} {self._seed}")),
            "kind": question.kind,
            "scene": question.scene.key,
        }
