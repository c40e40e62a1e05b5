"""Evaluation in this process, one candidate after the other."""

from collections import deque
from collections.abc import Callable

from evoforge.executor.base import Evaluate, Executor, Job, Place
from evoforge.record import Evaluation


class Local(Executor):
    """Does every job here, when its result is asked for.

    Args:
        evaluate: does one job.
        make: not needed here.
        protocol: not needed here.
    """

    here = True
    workers = 1

    def __init__(
        self,
        evaluate: Evaluate,
        make: Callable[[Place], Evaluate] | None = None,
        protocol: Callable[[Job], str] = lambda _: "",
    ) -> None:
        super().__init__(evaluate, make or (lambda _: evaluate), protocol)
        self._waiting: deque[tuple[int, Job]] = deque()
        self._given = 0

    def submit(self, job: Job) -> int:
        """Give a job; return its number."""
        self._given += 1
        self._waiting.append((self._given, job))
        return self._given

    def finished(self) -> tuple[int, Evaluation]:
        """Do the job that waits longest; return its number and what came of it."""
        if not self._waiting:
            raise LookupError("no job is waiting")
        number, job = self._waiting.popleft()
        return number, self.evaluate(job)

    def forget(self) -> None:
        """Drop what is waiting."""
        self._waiting.clear()

    def close(self) -> None:
        """Nothing is left running."""
        self.forget()
