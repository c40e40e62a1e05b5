"""The core of executors with workers: who does what, and what happens to those who do not.

Knows handles of workers and what they say; does not know how they are started, nor where.
"""

import atexit
import logging
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from evoforge.errors import EvoforgeError, SearchError
from evoforge.executor._machine import check_above_zero, check_least
from evoforge.executor._messages import Beat, Broken, Done, Gone, Message, Raised, Ready, Said
from evoforge.executor._seat import Seat, Task, Worker
from evoforge.executor.base import Evaluate, Executor, Job, Place
from evoforge.record import Evaluation
from evoforge.visible import visible

log = logging.getLogger(__name__)

# Seconds that are waited for a word at most before the clocks are looked at.
TICK = 1.0
# A wait that lasts so many seconds longer was a stop of this process, by Ctrl-Z for example.
STOPPED = 5.0
# Imports of large libraries leave the worker no time to say that it is alive.
STARTING = 10.0
# Workers of one seat that may die one after the other before they are ready.
STARTS = 2


@dataclass(frozen=True)
class Patience:
    """How long a crew waits for its workers.

    Args:
        timeout: seconds that a job may take, None for any.
        retries: how often a job is done again whose worker died.
        heartbeat: seconds that a worker at work may say nothing.
        start: seconds in which new workers may say nothing if there are no others.
    """

    timeout: float | None
    retries: int
    heartbeat: float
    start: float

    def __post_init__(self) -> None:
        check_above_zero("timeout", self.timeout)
        check_least("retries", self.retries, 0)
        check_above_zero("heartbeat", self.heartbeat)

    @property
    def tick(self) -> float:
        """Seconds between two looks at the clocks."""
        return min(TICK, self.heartbeat / 4, (self.timeout or TICK) / 4)

    def silence(self, seat: Seat) -> float:
        """Return how many seconds the worker of a seat, which said something, may say nothing."""
        return self.heartbeat if seat.ready else STARTING * self.heartbeat


class Crew(Executor):
    """Spreads jobs over workers, one job a worker at a time.

    A worker that dies, or says nothing for too long, is replaced, and its job repeated; one that
    takes too long is replaced, and its job has failed.

    Args:
        evaluate: not used: jobs are done by the workers.
        make: makes the like of it in a worker.
        protocol: names the protocol of a job.
        patience: how long workers are waited for.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        make: Callable[[Place], Evaluate],
        protocol: Callable[[Job], str],
        patience: Patience,
    ) -> None:
        super().__init__(evaluate, make, protocol)
        self._patience = patience
        self._seats: list[Seat] = []
        self._waiting: deque[Task] = deque()
        self._results: deque[tuple[int, Evaluation]] = deque()
        self._given = 0
        self._stopped = 0.0
        self._word = 0.0
        self._said: set[Said] = set()

    @abstractmethod
    def _hire(self, number: int) -> Worker:
        """Start a worker for a seat; does not wait for it."""

    @abstractmethod
    def _listen(self, seconds: float) -> list[tuple[Worker, Message]]:
        """Return what workers said since, waiting for so many seconds at most if it is nothing."""

    def _connect(self) -> None:
        """Prepare what workers need that is not there yet, before the first is hired."""
        return  # most need nothing

    def _disconnect(self) -> None:
        """Undo `_connect`, after the last worker is gone; may be called twice."""
        return

    def start(self) -> None:
        """Wait for the first worker; see `Executor.start`."""
        self._open()
        while not any(seat.ready for seat in self._seats):
            self._step(self._patience.tick)

    def submit(self, job: Job) -> int:
        """Give a job; return its number."""
        self._open()
        self._given += 1
        self._waiting.append(Task(self._given, job))
        self._step(0.0)
        return self._given

    def finished(self) -> tuple[int, Evaluation]:
        """Wait for a job to be done; see `Executor.finished`."""
        while not self._results:
            if not self._waiting and not any(s.task and s.task.wanted for s in self._seats):
                raise LookupError("no job is waiting")
            self._step(self._patience.tick)
        return self._results.popleft()

    def forget(self) -> None:
        """Drop all jobs; what workers are at they bring to its end, for nobody."""
        self._waiting.clear()
        self._results.clear()
        for seat in self._seats:
            if seat.task is not None:
                seat.task.wanted = False

    def close(self) -> None:
        """End all workers; may be called twice."""
        self.forget()
        seats, self._seats = self._seats, []
        idle = [seat for seat in seats if seat.ready and seat.task is None]
        for seat in seats:
            if seat.worker is not None and seat in idle:
                seat.worker.dismiss()
        for seat in seats:
            if seat.worker is not None:
                seat.worker.kill()
        self._disconnect()
        atexit.unregister(self.close)

    def _open(self) -> None:
        """Start the workers, if there are none."""
        if self._seats:
            return
        atexit.register(self.close)
        self._connect()
        self._word = self._now()
        self._seats = [Seat(number) for number in range(self.workers)]
        for seat in self._seats:
            self._fill(seat)

    def _fill(self, seat: Seat) -> None:
        seat.fill(self._hire(seat.number), self._now())

    def _now(self) -> float:
        """Return the seconds of a clock that stands while this process is stopped."""
        return time.monotonic() - self._stopped

    def _step(self, seconds: float) -> None:
        """Give jobs to those who are free, hear what workers say, and look at the clocks."""
        self._assign()
        begun = time.monotonic()
        heard = self._listen(seconds)
        late = time.monotonic() - begun - seconds
        if late > STOPPED:
            self._stopped += late
        for worker, message in heard:
            self._take(worker, message)
        self._look()
        self._assign()

    def _assign(self) -> None:
        for seat in self._seats:
            if self._waiting and seat.worker is not None and seat.ready and seat.task is None:
                task = self._waiting.popleft()
                seat.take(task, self._now())
                seat.worker.give(task.job)

    def _take(self, worker: Worker, message: Message) -> None:
        """Act on what a worker said; those who were replaced have nothing to say any more."""
        seat = next((seat for seat in self._seats if seat.worker is worker), None)
        if seat is None:
            return
        seat.heard = self._word = self._now()
        match message:
            case Beat():
                pass
            case Said():
                self._relay(message)
            case Ready():
                seat.ready, seat.deaths = True, 0
            case Done():
                task, seat.task = seat.task, None
                self._conclude(task, message.evaluation)
            case Raised():
                self._end(message.error)
            case Broken():
                trace = visible(message.trace).rstrip()
                log.error("a worker failed:\n%s", trace)
                self._end(RuntimeError(f"a worker failed, see above: {trace.splitlines()[-1]}"))
            case Gone():
                self._replace(seat, message.reason, message.printed)

    def _relay(self, said: Said) -> None:
        """Log what a worker logs; all workers say the same."""
        if said not in self._said:
            self._said.add(said)
            logging.getLogger(said.name).log(said.level, "%s", said.text)

    def _end(self, error: EvoforgeError | RuntimeError) -> None:
        """Raise what makes all further work useless."""
        self.close()
        raise error

    def _conclude(self, task: Task | None, evaluation: Evaluation) -> None:
        if task is not None and task.wanted:
            self._results.append((task.number, evaluation))

    def _look(self) -> None:
        """Replace who takes too long, or says nothing."""
        now, patience = self._now(), self._patience
        for seat in self._occupied():
            limit = patience.timeout
            if limit is not None and seat.task is not None and now - seat.since > limit:
                task, seat.task = seat.task, None
                self._conclude(
                    task,
                    self.lost(task.job, f"took longer than {limit:g} s; set executor.timeout"),
                )
                self._replace(seat, f"was ended after {limit:g} s on one candidate")
            # Who has no work says nothing.
            elif seat.heard is not None and (seat.task is not None or not seat.ready):
                silent = patience.silence(seat)
                if now - seat.heard > silent:
                    self._replace(seat, f"said nothing for {silent:g} s")
        if now - self._word > patience.start and all(s.heard is None for s in self._seats):
            self._end(SearchError(self._nobody(patience.start)))

    def _nobody(self, seconds: float) -> str:
        """Return what the user is told when no worker says its first word."""
        return f"no worker started in {seconds:g} s; look whether the machine is overloaded"

    def _occupied(self) -> Iterator[Seat]:
        return (seat for seat in self._seats if seat.worker is not None)

    def _replace(self, seat: Seat, reason: str, printed: str = "") -> None:
        """End the worker of a seat, start another, and see to what it was doing."""
        assert seat.worker is not None
        seat.worker.kill()
        task, started = seat.task, seat.ready
        last = f"; it printed last: {printed}" if printed else ""
        log.warning("worker %d %s%s", seat.number, reason, last)
        seat.leave()
        if task is not None and task.wanted:
            self._again(task, reason)
        if not started:
            seat.deaths += 1
        if seat.deaths < STARTS:
            self._fill(seat)
        elif not any(self._occupied()):
            self._end(SearchError(f"no worker can start: it {reason}; set executor.workers"))
        else:
            log.warning("the run goes on without worker %d, which cannot start", seat.number)

    def _again(self, task: Task, reason: str) -> None:
        """Have a job done once more whose worker died, or give it up."""
        task.tries += 1
        if task.tries <= self._patience.retries:
            self._waiting.appendleft(task)
            return
        times = f" ({task.tries} times)" if task.tries > 1 else ""
        self._conclude(task, self.lost(task.job, f"its worker {reason}{times}"))
