"""What every executor does: evaluate jobs somewhere, and give the results.

Jobs go out and results come back as values: plain records that any process can read.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from evoforge.recipe import Recipe
from evoforge.record import Evaluation, item_set_hash
from evoforge.secrets import clean
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
        protocol: names the protocol of a job, for results that no worker lived to give.

    Attributes:
        here: whether jobs are done in this process, by `evaluate`.
    """

    here: ClassVar[bool] = False

    def __init__(
        self,
        evaluate: Evaluate,
        make: Callable[[Place], Evaluate],
        protocol: Callable[[Job], str] = lambda _: "",
    ) -> None:
        self.evaluate = evaluate
        self.make = make
        self.protocol = protocol

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many jobs are done at the same time, at least 1."""

    def start(self) -> None:
        """Wait until a job can be done, so that what cannot be used is known before a run begins.

        Raises:
            ConfigError: an option or a source is not usable where jobs are done.
            SearchError: no worker can start.
        """
        return  # there is nothing to start where jobs are done in this process

    @abstractmethod
    def submit(self, job: Job) -> int:
        """Give a job; return its number, by which `finished` names it. Does not wait."""

    @abstractmethod
    def finished(self) -> tuple[int, Evaluation]:
        """Wait for a job to be done; return its number and what came of it.

        Raises:
            LookupError: no job was given that was not returned.
            ConfigError: an option or a source is not usable where jobs are done.
            SearchError: no worker can start.
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

    def lost(self, job: Job, reason: str) -> Evaluation:
        """Return the evaluation of a job that failed without its candidate's or its task's doing.

        Args:
            job: what was to be done.
            reason: why it was not.
        """
        return Evaluation(
            recipe=job.recipe.hash,
            protocol=self.protocol(job),
            item_set=item_set_hash([item.id for item in job.items]),
            status="failed",
            fitness=float("-inf"),
            reason=clean(reason),  # it may repeat what a worker printed
            proxy=job.proxy,
        )
