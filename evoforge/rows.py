"""Rows of a journal as plain values.

They know genomes, hashes and numbers; they do not know where they are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evoforge.space import Genome


@dataclass(frozen=True)
class CandidateRecord:
    """One candidate of a search: where it was asked, and what became of it (if it did yet)."""

    stage: str
    generation: int
    position: int
    genome: Genome
    recipe: str
    evaluation: int | None
    cached: bool


@dataclass(frozen=True)
class Example:
    """A test item that is kept to be shown beside the answers to it.

    Args:
        item: its id.
        question: what was asked.
        answers: accepted ones; the first is the reference.
        picture: what it shows, as the bytes of a small PNG; None without one.
    """

    item: str
    question: str
    answers: tuple[str, ...] = ()
    picture: bytes | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened, in order: what trackers follow.

    Kinds: `session` (number), `stage` (stage), `candidate` (stage, generation, position),
    `generation` (stage, generation), `role` (name, part), `finished`.
    """

    seq: int
    kind: str
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Telling:
    """What a steady-state search told its optimizer at a time.

    Args:
        asked: how many generations had been asked by then.
        places: (generation, position) of each candidate, in the order in which they were told.
    """

    asked: int
    places: tuple[tuple[int, int], ...]
