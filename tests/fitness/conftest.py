"""Toy items, ten of them, called 0 to 9, and generations that answer them."""

from statistics import fmean

import numpy as np
import pytest

from evoforge.record import Evaluation, ItemResult, item_set_hash
from evoforge.task.base import Item


@pytest.fixture
def items():
    return tuple(Item(str(i), f"{i}=", answer_number=float(i)) for i in range(10))


class Followed:
    """What came of a generation's course: its rounds, and its fitness."""

    def __init__(self, policy, generation, skills, failing=()):
        self.rounds = []
        course = policy.course(generation, len(skills))
        now = next(course)
        while True:
            self.rounds.append(now)
            try:
                now = course.send(
                    {
                        p: _evaluation(p, some, skills[p], p in failing, bare=now.last)
                        for p, some in now.items.items()
                    }
                )
            except StopIteration as stop:
                self.fitness = stop.value
                return

    @property
    def items(self):
        """All items that any candidate answered in the task's own rounds."""
        rounds = [now for now in self.rounds if not now.proxy]
        return max((some for now in rounds for some in now.items.values()), key=len)

    def answered(self, position):
        """How many items a candidate answered."""
        rounds = [now for now in self.rounds if not now.proxy]
        return max((len(now.items.get(position, ())) for now in rounds), default=0)


def _evaluation(position, items, skill, failed, bare=False):
    ids = [item.id for item in items]
    key = {"recipe": str(position), "protocol": "p", "item_set": item_set_hash(ids)}
    if failed:
        return Evaluation(**key, status="failed", fitness=-np.inf, reason="made to fail")
    # Which items are hard is the same for all: those of a low number.
    scores = [skill(item) if callable(skill) else float(int(item.id) < skill) for item in items]
    results = tuple(
        ItemResult(item.id, score, {"acc": score}, "", 1)
        for item, score in zip(items, scores, strict=True)
        if not bare  # as the search does in the last round
    )
    score = fmean(scores)
    return Evaluation(**key, status="ok", fitness=score, score=score, results=results)


@pytest.fixture
def follow():
    """Return a function that follows the course of one generation.

    Its skills are the number of items that each candidate gets right, or functions of an item.
    """
    return Followed
