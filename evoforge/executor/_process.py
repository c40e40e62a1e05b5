"""A handle on a worker that is a process of this machine."""

import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import reduction
from queue import SimpleQueue
from typing import Any, BinaryIO

import psutil

from evoforge.executor._messages import Gone, Message
from evoforge.executor._seat import Worker
from evoforge.executor._serve import serve
from evoforge.executor.base import Evaluate, Job, Place
from evoforge.visible import one_line

# Seconds between two looks whether a process that says nothing is still there.
LOOK = 0.5
# Seconds that a worker without work has to end by itself.
GRACE = 3.0
# Bytes of what a worker printed that are shown when it dies.
TAIL = 400

Inbox = SimpleQueue[tuple[Worker, Message]]


class Output:
    """A file without a name that a worker prints into."""

    def __init__(self) -> None:
        self.file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the worker

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (reduction.DupFd(self.file.fileno()),)

    def tail(self) -> str:
        """Return what was printed last, on one line."""
        size = os.fstat(self.file.fileno()).st_size
        found = os.pread(self.file.fileno(), TAIL, max(0, size - TAIL))
        return one_line(found.decode(errors="replace")).strip()


def _opened(duplicate: Any) -> BinaryIO:
    return os.fdopen(duplicate.detach(), "wb", buffering=0)


class Process(Worker):
    """A process, started at once.

    Args:
        make: makes in it what does jobs.
        place: where that is.
        environment: variables to be set in it.
        beat: seconds between two of its signs of life.
        inbox: takes what it says.
    """

    def __init__(
        self,
        make: Callable[[Place], Evaluate],
        place: Place,
        environment: Mapping[str, str],
        beat: float,
        inbox: Inbox,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._output = Output()
        self._inbox = inbox
        arguments = (theirs, os.getpid(), self._output, dict(environment), beat)
        self._process = context.Process(target=serve, args=arguments, name="evoforge-worker")
        with _undisturbed():
            self._process.start()
        theirs.close()
        self._seen = psutil.Process(self._process.pid)
        self._dismissed = False
        self._reaping = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._send((make, place))

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self._seen.pid)

    def give(self, job: Job) -> None:
        """Hand over a job; see `Worker.give`."""
        self._send(job)

    def dismiss(self) -> None:
        """Tell it to end by closing one half of the connection."""
        self._dismissed = True
        with suppress(OSError):
            _hang_up(self._connection.fileno())

    def kill(self) -> None:
        """End it; see `Worker.kill`."""
        if self._dismissed:
            self._reader.join(GRACE)
        with self._reaping:
            self._end()
        self._reader.join()
        self._connection.close()
        self._output.file.close()

    def _send(self, content: Any) -> None:
        """Send something, which a process that reads nothing could block for ever."""

        def send() -> None:
            with suppress(OSError):  # it died, which the reader will say
                self._connection.send(content)

        threading.Thread(target=send, daemon=True).start()

    def _read(self) -> None:
        """Pass on what it says, until it is gone; only here it is waited for."""
        with suppress(EOFError, OSError):
            while self._connection.poll(LOOK) or self._lives():
                if self._connection.poll():
                    self._inbox.put((self, self._connection.recv()))
        with self._reaping:
            self._end()
            self._process.join()
        self._inbox.put((self, Gone(self._reason(), self._output.tail())))

    def _lives(self) -> bool:
        with suppress(psutil.NoSuchProcess):
            return bool(self._seen.status() != psutil.STATUS_ZOMBIE)
        return False

    def _end(self) -> None:
        """Kill its group, as long as its number cannot be another's: before it was waited for."""
        if self._process.exitcode is not None:
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has no group of its own yet
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _reason(self) -> str:
        code = self._process.exitcode or 0
        if code >= 0:
            return f"ended with exit code {code}"
        hint = ", probably for want of memory" if -code == signal.SIGKILL else ""
        return f"was ended by signal {-code} ({signal.Signals(-code).name}){hint}"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep Ctrl-C from a process that cannot ignore it yet: it begins with our mask of signals."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hang_up(descriptor: int) -> None:
    """Say that nothing more will be sent; what comes can still be read."""
    import socket

    with socket.socket(fileno=os.dup(descriptor)) as end:
        end.shutdown(socket.SHUT_WR)
