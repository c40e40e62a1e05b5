"""What every executor does: evaluate jobs somewhere, and give the results.

Jobs go out and results come back as values: plain records that any process can read.
"""

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


@dataclass(frozen=True)
class Place:
    """Where a worker evaluates.

    Args:
        device: as the evaluator names it, for example `cuda:1`; None: what the evaluator says.
    """

    device: str | None = None


Evaluate = Callable[[Job], Evaluation]


class Executor(ABC):
    """Spreads evaluations.

    Jobs are given by `submit` and their results taken by `finished`, in any order; `run` gives
    the results of several in the order of the jobs.

    Args:
        evaluate: does one job in this process; never raises for a fault of the candidate.
        make: makes the like of `evaluate` in another process; it can be sent there.
    """

    def __init__(self, evaluate: Evaluate, make: Callable[[Place], Evaluate]) -> None:
        self.evaluate = evaluate
        self.make = make

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many jobs are done at the same time, at least 1."""

    @abstractmethod
    def submit(self, job: Job) -> int:
        """Give a job; return its number, by which `finished` names it. Does not wait."""

    @abstractmethod
    def finished(self) -> tuple[int, Evaluation]:
        """Wait for a job to be done; return its number and what came of it.

        Raises:
            LookupError: no job was given that was not returned.
        """

    @abstractmethod
    def forget(self) -> None:
        """Drop all jobs that were given and not returned: `finished` will never name them."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing running; may be called twice."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Evaluation]:
        """Yield the evaluation of each job, in the order of the jobs.

        Whoever takes no more of them leaves jobs behind, which are forgotten.
        """
        self.forget()
        waiting = [self.submit(job) for job in jobs]
        known: dict[int, Evaluation] = {}
        try:
            for number in waiting:
                while number not in known:
                    done, evaluation = self.finished()
                    known[done] = evaluation
                yield known.pop(number)
        finally:
            self.forget()
