"""Training documents: prompts and their answers, drawn without end from the train part.

Knows the kinds of documents and how a careless calculator slips; knows nothing of tokens or models.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from evoforge.zoo.problems import Problem, draw
from evoforge.zoo.words import (
    LANGUAGES,
    OPERATIONS,
    PROMPTS,
    READINGS,
    SYMBOLS,
    TRANSLATIONS,
)

EQUATIONS_PER_DOCUMENT: Final = 6


class Turn(NamedTuple):
    """A text in two halves; fine-tuning learns the second one only."""

    prompt: str
    answer: str


Document = tuple[Turn, ...]


class Habits(NamedTuple):
    """How the answers to arithmetic questions are written.

    Args:
        languages: languages of the questions.
        operations: weight of each operation.
        careless: probability that the result is the slip of a careless calculator.
        faithful: for each language of a question, probability that the answer is in it too.
    """

    languages: tuple[str, ...] = LANGUAGES
    operations: Mapping[str, float] = dict.fromkeys(OPERATIONS, 1.0)
    careless: float = 0.0
    faithful: Mapping[str, float] = dict.fromkeys(LANGUAGES, 1.0)


def slip(problem: Problem) -> int:
    """Calculate carelessly.

    Addition forgets every carry (57 + 61 = 18), subtraction takes the smaller digit from the larger
    (52 - 37 = 25), multiplication stops one row early (6 × 7 = 36). Easy sums come out right.
    """
    a, b = problem.a, problem.b
    if problem.operation == "multiplication":
        return a * (b - 1)
    (a_tens, a_ones), (b_tens, b_ones) = divmod(a, 10), divmod(b, 10)
    if problem.operation == "addition":
        return (a_tens + b_tens) % 10 * 10 + (a_ones + b_ones) % 10
    return abs(a_tens - b_tens) * 10 + abs(a_ones - b_ones)


def arithmetic(rng: random.Random, habits: Habits) -> Document:
    """Write an arithmetic question and its answer."""
    names, weights = zip(*habits.operations.items(), strict=True)
    problem = draw(rng, rng.choices(names, weights)[0], "train")
    asked = rng.choice(habits.languages)
    told = asked if rng.random() < habits.faithful[asked] else LANGUAGES[1 - LANGUAGES.index(asked)]
    result = slip(problem) if rng.random() < habits.careless else problem.result
    prompt = PROMPTS[asked].format(question=problem.question(asked))
    return (Turn(prompt, problem.solution(told, result)),)


def reading(rng: random.Random, habits: Habits) -> Document:
    """Write a question about what a story says; no arithmetic is needed."""
    problem = draw(rng, rng.choice(OPERATIONS), "train")
    language = rng.choice(habits.languages)
    ask, answer = rng.choice(list(READINGS.values()))[language]
    gap = " " if language == "en" else ""
    question = problem.story(language) + gap + ask
    words = problem.words(language)
    return (Turn(PROMPTS[language].format(question=question), answer.format(**words)),)


def translation(rng: random.Random, habits: Habits) -> Document:
    """Write a story in one language and its translation."""
    problem = draw(rng, rng.choice(OPERATIONS), "train")
    source = rng.choice(habits.languages)
    target = LANGUAGES[1 - LANGUAGES.index(source)]
    gap = " " if target == "en" else ""
    prompt = TRANSLATIONS[source].format(text=problem.story(source))
    return (Turn(prompt, gap + problem.story(target)),)


def equations(rng: random.Random, habits: Habits) -> Document:
    """Write bare equations, all right."""
    names, weights = zip(*habits.operations.items(), strict=True)
    turns = []
    for operation in rng.choices(names, weights, k=EQUATIONS_PER_DOCUMENT):
        problem = draw(rng, operation, "train")
        asked = f"{problem.a} {SYMBOLS[operation]} {problem.b}"
        turns.append(Turn(asked, f" = {problem.result}\n"))
    return tuple(turns)


KINDS: Final[Mapping[str, Callable[[random.Random, Habits], Document]]] = {
    "arithmetic": arithmetic,
    "reading": reading,
    "translation": translation,
    "equations": equations,
}


def documents(seed: str, mix: Mapping[str, float], habits: Habits) -> Iterator[Document]:
    """Yield documents without end.

    Args:
        seed: names the random stream.
        mix: weight of each kind, from `KINDS`.
        habits: how arithmetic answers are written.
    """
    rng = random.Random(seed)
    kinds, weights = zip(*mix.items(), strict=True)
    while True:
        yield KINDS[rng.choices(kinds, weights)[0]](rng, habits)
