"""What every executor does: evaluate jobs somewhere, and give the results in order."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from evoforge.recipe import Recipe
from evoforge.record import Evaluation
from evoforge.task.base import Item


@dataclass(frozen=True)
class Job:
    """One evaluation to be done.

    Args:
        recipe: of the candidate.
        items: what it answers.
        proxy: whether the task's cheaper proxy is asked instead of the task.
    """

    recipe: Recipe
    items: tuple[Item, ...]
    proxy: bool = False


class Executor(ABC):
    """Spreads evaluations.

    Args:
        evaluate: does one job; never raises for a fault of the candidate.
    """

    def __init__(self, evaluate: Callable[[Job], Evaluation]) -> None:
        self.evaluate = evaluate

    @abstractmethod
    def run(self, jobs: Sequence[Job]) -> Iterator[Evaluation]:
        """Yield the evaluation of each job, in the order of the jobs."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing running; may be called twice."""
