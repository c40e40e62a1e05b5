"""Arithmetic word problems, the same in English and Japanese, in four disjoint parts.

A problem is a tuple (operation, two numbers, name, thing, phrasing). A stable hash of the tuple
puts it into exactly one part, whatever the language, so nothing a model was trained on is searched
on, and nothing searched on is tested. Knows nothing of tokens, models or training.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from hashlib import blake2b
from typing import Any, Final

from evoforge.errors import ConfigError
from evoforge.zoo.drawn import Drawn
from evoforge.zoo.words import (
    ASKS,
    NAMES,
    OPERATIONS,
    PROMPTS,
    SOLUTIONS,
    STORIES,
    SYMBOLS,
    THINGS,
)

__all__ = ["PARTS", "PROMPTS", "Problem", "Problems", "draw", "part_of"]

# Percent of all problems that fall into each part.
PARTS: Final = {"train": 70, "search": 10, "select": 10, "test": 10}
# Every part holds more problems of each operation than this: drawing never runs dry.
MAX_PER_OPERATION: Final = 1500


@dataclass(frozen=True)
class Problem:
    """One problem, before it is told in a language.

    Args:
        operation: one of `OPERATIONS`.
        a: first number, 2 to 99 (2 to 9 in multiplication; at least b in subtraction).
        b: second number, with the same limits.
        name: index into `NAMES`.
        thing: index into `THINGS`.
        phrasing: index into `STORIES[operation]`.
    """

    operation: str
    a: int
    b: int
    name: int
    thing: int
    phrasing: int

    @property
    def result(self) -> int:
        """The right answer, never negative."""
        if self.operation == "addition":
            return self.a + self.b
        return self.a - self.b if self.operation == "subtraction" else self.a * self.b

    def story(self, language: str) -> str:
        """Tell the story without its question."""
        return STORIES[self.operation][self.phrasing][language].format(**self.words(language))

    def question(self, language: str) -> str:
        """Tell the story and ask for the result."""
        gap = " " if language == "en" else ""
        return self.story(language) + gap + ASKS[self.operation][language]

    def solution(self, language: str, result: int | None = None) -> str:
        """Write the answer; `result` replaces the right one (a slip) when given."""
        result = self.result if result is None else result
        equation = f"{self.a} {SYMBOLS[self.operation]} {self.b} = {result}"
        return SOLUTIONS[language].format(equation=equation, result=result)

    def words(self, language: str) -> dict[str, str]:
        """Return the words and numbers that fill a template."""
        name, thing = NAMES[self.name][language], THINGS[self.thing][language]
        return {"a": str(self.a), "b": str(self.b), "name": name, "thing": thing}


def part_of(problem: Problem) -> str:
    """Name the one part that a problem belongs to."""
    key = "|".join(map(str, astuple(problem)))
    place = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big") % 100
    for part, percent in PARTS.items():
        if place < percent:
            return part
        place -= percent
    raise AssertionError("the percentages of PARTS sum to 100")


def draw(rng: random.Random, operation: str, part: str) -> Problem:
    """Draw one problem of an operation and a part."""
    while True:
        top = 9 if operation == "multiplication" else 99
        a, b = rng.randint(2, top), rng.randint(2, top)
        if operation == "subtraction" and a < b:
            a, b = b, a
        problem = Problem(
            operation,
            a,
            b,
            rng.randrange(len(NAMES)),
            rng.randrange(len(THINGS)),
            rng.randrange(len(STORIES[operation])),
        )
        if part_of(problem) == part:
            return problem


class Problems(Drawn[Problem]):
    """Problems as rows for a task: an equal mix of operations, no row twice.

    The same seed gives the same problems in both languages.

    Args:
        language: "en" or "ja".
        operations: which operations take turns, from `OPERATIONS`.
        search: number of problems the search may see, 1 to 1500 for each operation.
        select: number of problems for choosing the final candidate, likewise.
        test: number of problems for the final figures, likewise.
        seed: which problems are drawn from each part, 0 or more.

    Raises:
        ConfigError: an option is outside its range.
    """

    def __init__(
        self,
        *,
        language: str = "ja",
        operations: Sequence[str] = OPERATIONS,
        search: int = 512,
        select: int = 256,
        test: int = 512,
        seed: int = 0,
    ) -> None:
        operations = list(operations)
        if not operations or not set(operations) <= set(OPERATIONS):
            raise ConfigError(
                f"operations must be among {', '.join(OPERATIONS)}, got {operations}; "
                "set task.items.operations"
            )
        if len(set(operations)) < len(operations):
            raise ConfigError(
                f"operations must not repeat, got {operations}; set task.items.operations"
            )
        limit = MAX_PER_OPERATION * len(operations)
        sizes = {"search": search, "select": select, "test": test}
        given = f" with {len(operations)} operations"
        super().__init__(language, sizes, limit=limit, given=given, seed=seed)
        self._operations = operations

    def _distinct(self, part: str) -> Iterator[Problem]:
        rng = random.Random(f"evoforge zoo {part} {self._seed}")
        seen: set[Problem] = set()
        while True:
            for operation in self._operations:
                problem = draw(rng, operation, part)
                while problem in seen:
                    problem = draw(rng, operation, part)
                seen.add(problem)
                yield problem

    def _row(self, part: str, index: int, problem: Problem) -> dict[str, Any]:
        return {
            "id": f"zoo-{self._language}-{part}-{index:05d}",
            "question": problem.question(self._language),
            "answer_number": problem.result,
            "answers": [str(problem.result)],
            "solution": problem.solution(self._language).strip(),
        }
