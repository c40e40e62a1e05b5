"""Evaluation in this process, one candidate after the other."""

from collections.abc import Iterator, Sequence

from evoforge.executor.base import Executor, Job
from evoforge.record import Evaluation


class Local(Executor):
    """Runs every job here.

    Args:
        evaluate: does one job.
    """

    def run(self, jobs: Sequence[Job]) -> Iterator[Evaluation]:
        """Yield the evaluation of each job when it is done."""
        for job in jobs:
            yield self.evaluate(job)

    def close(self) -> None:
        """Nothing is left running."""
