"""Evaluation in processes of this machine: one for each GPU, or for some of the cores each.

Every process maps the same source files, so N of them hold N live models and the sources once.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from queue import Empty, SimpleQueue

from evoforge.errors import ConfigError
from evoforge.executor._crew import STARTING, Crew, Patience
from evoforge.executor._machine import check_least, chosen_gpus, cores, threads_environment
from evoforge.executor._messages import Message
from evoforge.executor._process import Inbox, Process
from evoforge.executor._seat import Worker
from evoforge.executor.base import Evaluate, Job, Place

# Signs of life within the time that a worker may say nothing.
BEATS = 4


class Processes(Crew):
    """Does jobs in processes that live as long as the run.

    Args:
        evaluate: not used here.
        make: makes the like of it in a worker.
        protocol: names the protocol of a job.
        workers: how many; None for one for each GPU, or each group of `gpus`, and without GPUs for
            as many as give each `threads` cores.
        threads: of each worker, for what it computes on the CPU.
        devices: the GPUs to use, as CUDA_VISIBLE_DEVICES names them; None for all, [] for none.
        gpus: how many of them each worker gets. More workers than there are for share them.
        timeout: seconds that a candidate may take; its evaluation has failed then. None for any.
        retries: how often a candidate is evaluated again whose worker died.
        heartbeat: seconds that a worker at work may say nothing before it is replaced.

    Raises:
        ConfigError: an option makes no sense, or a device is not there.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        make: Callable[[Place], Evaluate],
        protocol: Callable[[Job], str] = lambda _: "",
        *,
        workers: int | None = None,
        threads: int = 1,
        devices: Sequence[int | str] | None = None,
        gpus: int = 1,
        timeout: float | None = None,
        retries: int = 1,
        heartbeat: float = 60.0,
    ) -> None:
        patience = Patience(timeout, retries, heartbeat, start=STARTING * heartbeat)
        super().__init__(evaluate, make, protocol, patience)
        check_least("workers", workers, 1)
        check_least("threads", threads, 1)
        check_least("gpus", gpus, 1)
        self._wanted = workers
        self._threads = threads
        self._groups = _groups(chosen_gpus(devices), gpus)
        self._inbox: Inbox = SimpleQueue()

    @cached_property
    def workers(self) -> int:
        """How many processes there are."""
        if self._wanted is not None:
            return self._wanted
        return len(self._groups) or max(1, cores() // self._threads)

    def _hire(self, number: int) -> Worker:
        """Start a process, which sees its own GPUs only."""
        group = self._groups[number % len(self._groups)] if self._groups else []
        environment = {
            **threads_environment(self._threads),
            "CUDA_VISIBLE_DEVICES": ",".join(group),
        }
        # Of several GPUs the evaluator says what is where.
        place = Place("cuda:0") if len(group) == 1 else Place()
        beat = self._patience.heartbeat / BEATS
        return Process(self.make, place, environment, beat, self._inbox)

    def _listen(self, seconds: float) -> list[tuple[Worker, Message]]:
        """Return what processes said; see `Crew`."""
        heard: list[tuple[Worker, Message]] = []
        try:
            heard.append(self._inbox.get(block=seconds > 0, timeout=seconds or None))
            while True:
                heard.append(self._inbox.get_nowait())
        except Empty:
            return heard


def _groups(names: Sequence[str], size: int) -> list[list[str]]:
    """Return GPUs in groups of so many; what is left over is not used."""
    if names and len(names) < size:
        raise ConfigError(
            f"a worker takes {size} GPUs, and there are {len(names)}; set executor.gpus"
        )
    whole = len(names) - len(names) % size
    return [list(names[start : start + size]) for start in range(0, whole, size)]
