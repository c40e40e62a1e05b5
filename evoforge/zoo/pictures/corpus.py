"""Training documents about scenes of the train part: told in words, or shown in a picture.

Knows the kinds of documents and which language an answer is in; knows nothing of tokens or models.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from evoforge.zoo.corpus import Document, Turn
from evoforge.zoo.pictures.questions import Question, ask
from evoforge.zoo.pictures.scenes import Scene, draw
from evoforge.zoo.pictures.words import (
    IMAGE,
    KINDS,
    LANGUAGES,
    PROMPTS,
    TRANSLATIONS,
)


class Habits(NamedTuple):
    """How questions are asked and answered.

    Args:
        languages: languages of the questions.
        scenes: languages in which scenes are told.
        faithful: for each language of a question, probability that the answer is in it too.
    """

    languages: tuple[str, ...] = LANGUAGES
    scenes: tuple[str, ...] = LANGUAGES
    faithful: Mapping[str, float] = dict.fromkeys(LANGUAGES, 1.0)


class Shown(NamedTuple):
    """A document and the scene of its picture, if it has one."""

    document: Document
    scene: Scene | None


def told(rng: random.Random, habits: Habits) -> Shown:
    """Tell a scene in words, ask about it and answer."""
    question = _question(rng)
    scene = question.scene.told(rng.choice(habits.scenes))
    asked, answer = _exchange(rng, habits, question)
    return Shown((Turn(scene + asked, answer),), None)


def shown(rng: random.Random, habits: Habits) -> Shown:
    """Show a scene in a picture, ask about it and answer."""
    question = _question(rng)
    asked, answer = _exchange(rng, habits, question)
    return Shown((Turn(f"{IMAGE}\n{asked}", answer),), question.scene)


def translation(rng: random.Random, habits: Habits) -> Shown:
    """Write a question and its answer in one language, and translate them."""
    question = _question(rng)
    source = rng.choice(habits.languages)
    target = _other(source)
    text = question.text(source) + question.answer(source)
    gap = " " if target == "en" else ""
    prompt = TRANSLATIONS[source].format(text=text)
    return Shown((Turn(prompt, gap + question.text(target) + question.answer(target)),), None)


KINDS_OF_DOCUMENTS: Final[Mapping[str, Callable[[random.Random, Habits], Shown]]] = {
    "told": told,
    "shown": shown,
    "translation": translation,
}


def documents(seed: str, mix: Mapping[str, float], habits: Habits) -> Iterator[Shown]:
    """Yield documents without end.

    Args:
        seed: names the random stream.
        mix: weight of each kind, from `KINDS_OF_DOCUMENTS`.
        habits: how questions are asked and answered.
    """
    rng = random.Random(seed)
    kinds, weights = zip(*mix.items(), strict=True)
    while True:
        yield KINDS_OF_DOCUMENTS[rng.choices(kinds, weights)[0]](rng, habits)


def _question(rng: random.Random) -> Question:
    kind, question = rng.choice(KINDS), None
    while question is None:
        question = ask(rng, draw(rng, "train"), kind)
    return question


def _exchange(rng: random.Random, habits: Habits, question: Question) -> tuple[str, str]:
    """Return the prompt of a question and its answer."""
    asked = rng.choice(habits.languages)
    language = asked if rng.random() < habits.faithful[asked] else _other(asked)
    return PROMPTS[asked].format(question=question.text(asked)), question.answer(language)


def _other(language: str) -> str:
    return LANGUAGES[1 - LANGUAGES.index(language)]
