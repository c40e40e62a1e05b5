"""Toy jobs: recipes that differ in a number, and an evaluation that gives it back."""

import pytest

from evoforge.executor.base import Job
from evoforge.recipe import Recipe
from evoforge.record import Evaluation


def evaluate(job):
    """Return the number in the job's recipe as fitness; -1 stands for a failure."""
    number = job.recipe.content["number"]
    if number < 0:
        return Evaluation(job.recipe.hash, "p", "i", "failed", float("-inf"), "made to fail")
    return Evaluation(job.recipe.hash, "p", "i", "ok", float(number), score=float(number))


def made_there(place):
    """Return `evaluate` in another process."""
    return evaluate


@pytest.fixture
def jobs():
    """Return a maker of jobs: `jobs(3, 1, 2)`."""
    return lambda *numbers: [Job(Recipe({"number": number}), ()) for number in numbers]
