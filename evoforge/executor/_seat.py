"""The place of a worker in a crew, which may see several workers one after the other."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from evoforge.executor.base import Job


class Worker(ABC):
    """A handle on who does one job at a time, somewhere."""

    @abstractmethod
    def give(self, job: Job) -> None:
        """Hand over a job; does not wait."""

    @abstractmethod
    def dismiss(self) -> None:
        """Tell it, which has no job, to end; does not wait."""

    @abstractmethod
    def kill(self) -> None:
        """End it with all that it started; may be called twice.

        One that was dismissed is given a moment.
        """


@dataclass
class Task:
    """A job on its way.

    Args:
        number: by which its result is named.
        job: what is to be done.
        tries: how many workers died of it.
        wanted: whether somebody waits for the result.
    """

    number: int
    job: Job
    tries: int = 0
    wanted: bool = True


@dataclass
class Seat:
    """The place of one worker.

    Args:
        number: from 0 on.
        worker: who sits there; None for nobody.
        ready: whether it takes jobs.
        heard: when it said something last, None for never; seconds.
        task: what it is doing.
        since: when it was given that; seconds.
        deaths: workers that died one after the other before they were ready.
    """

    number: int
    worker: Worker | None = None
    ready: bool = False
    heard: float | None = None
    task: Task | None = None
    since: float = 0.0
    deaths: int = 0

    def fill(self, worker: Worker, now: float) -> None:
        """Seat a new worker, which is not ready yet."""
        self.worker, self.ready, self.heard = worker, False, None
        self.task, self.since = None, now

    def leave(self) -> None:
        """Empty the seat."""
        self.worker, self.ready, self.heard, self.task = None, False, None, None

    def take(self, task: Task, now: float) -> None:
        """Note what the worker is doing; from now on it is to say that it lives."""
        self.task, self.since, self.heard = task, now, now
