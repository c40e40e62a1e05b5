"""Questions about unseen pictures, as rows for a task."""

import random
from collections.abc import Iterator
from typing import Any, Final

from evoforge.errors import ConfigError
from evoforge.zoo.pictures.drawing import pixels, png
from evoforge.zoo.pictures.questions import Question, ask
from evoforge.zoo.pictures.scenes import Scene, draw
from evoforge.zoo.pictures.words import KINDS, LANGUAGES

# Every part holds far more scenes than this: drawing never runs dry.
MAX_ITEMS: Final = 4000


class Pictures:
    """Pictures, questions and answers: an equal mix of kinds, no scene twice.

    The same seed gives the same pictures and questions in both languages.

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
        if language not in LANGUAGES:
            raise ConfigError(
                f"language must be among {', '.join(LANGUAGES)}, got {language!r}; "
                "set task.items.language"
            )
        if seed < 0:
            raise ConfigError(f"seed must be 0 or more, got {seed}; set task.items.seed")
        self._sizes = {"search": search, "select": select, "test": test}
        for part, size in self._sizes.items():
            if not 1 <= size <= MAX_ITEMS:
                raise ConfigError(
                    f"{part} must be between 1 and {MAX_ITEMS}, got {size}; set task.items.{part}"
                )
        self._language, self._seed = language, seed

    def rows(self, part: str) -> list[dict[str, Any]]:
        """Return the rows of one part: "search", "select" or "test".

        A row's `image` is a PNG file's bytes; `scene` tells in words what it shows.

        Raises:
            ConfigError: there is no such part.
        """
        if part not in self._sizes:
            raise ConfigError(f"part must be among {', '.join(self._sizes)}, got {part!r}")
        rows = zip(range(self._sizes[part]), self._distinct(part), strict=False)
        return [self._row(part, index, question) for index, question in rows]

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
