"""What a worker does in a process of its own, from its first moment to its last.

Imports nothing that computes: how many threads that may use is to be set before.
"""

import ctypes
import logging
import os
import signal
import sys
import threading
import traceback
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, BinaryIO

from evoforge.errors import EvoforgeError
from evoforge.executor._messages import Beat, Broken, Done, Message, Raised, Ready, Said

# prctl(2): the signal that the kernel sends when the parent dies.
PR_SET_PDEATHSIG = 1
# Seconds between two looks whether the parent is still there.
LOOK = 1.0


def serve(
    connection: "Connection[Any, Any]",
    parent: int,
    output: BinaryIO,
    environment: dict[str, str],
    beat: float,
) -> None:
    """Do jobs until nobody gives any more.

    First comes what makes the evaluation, with its place, then job after job; what is sent back are
    messages.

    Args:
        connection: to the parent.
        parent: its process id.
        output: where everything goes that is printed.
        environment: variables to be set before anything is imported that computes.
        beat: seconds between two signs of life.
    """
    _stand_alone(parent)
    os.environ.update(environment)
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    channel = Channel(connection)
    pulse = Pulse(channel, parent, beat)
    pulse.start()
    with ExitStack() as stack:
        stack.push(channel.tell)
        with pulse:
            make, place = connection.recv()
            logging.root.addHandler(Relay(channel))
            logging.root.setLevel(logging.INFO)
            try:
                evaluate = make(place)
            except EvoforgeError as error:
                channel.send(Raised(error))
                return
        channel.send(Ready())
        while True:
            try:
                job = connection.recv()
            except EOFError:
                return
            with pulse:
                try:
                    message: Message = Done(evaluate(job))
                except EvoforgeError as error:
                    message = Raised(error)
            channel.send(message)


def _stand_alone(parent: int) -> None:
    """Leave the parent's terminal, and die with the parent whatever happens.

    In a session of its own the worker can be ended with all that it starts, and is told nothing by
    Ctrl-C and Ctrl-Z, which are the parent's to decide.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])
    with suppress(OSError):
        os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was asked
        _end_group()


def _end_group() -> None:
    """End this process and all that it started."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


class Channel:
    """Sends messages, of several threads."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Send a message; one that nobody is there to read is dropped."""
        with self._lock, suppress(BrokenPipeError):
            self._connection.send(message)

    def tell(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tell the parent of a fault of evoforge itself, which then ends this process."""
        del kind, trace
        if isinstance(error, Exception):
            self.send(Broken("".join(traceback.format_exception(error))))


class Pulse(threading.Thread):
    """Says that the process is alive while there is work, and ends it when the parent is gone.

    As a context it marks work.
    """

    def __init__(self, channel: Channel, parent: int, beat: float) -> None:
        super().__init__(daemon=True)
        self._channel = channel
        self._parent = parent
        self._beat = beat
        self._working = threading.Event()

    def __enter__(self) -> None:
        self._channel.send(Beat())
        self._working.set()

    def __exit__(self, *error: object) -> None:
        self._working.clear()

    def run(self) -> None:
        """Beat until the process ends."""
        still, step = threading.Event(), min(LOOK, self._beat)
        waited = 0.0
        while not still.wait(step):
            if os.getppid() != self._parent:
                _end_group()
            waited += step
            if self._working.is_set() and waited >= self._beat:
                waited = 0.0
                self._channel.send(Beat())


class Relay(logging.Handler):
    """Sends what is logged to the parent, who alone writes to the terminal and into files."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Send a line."""
        self._channel.send(Said(record.name, record.levelno, record.getMessage()))
