"""A wish to stop that does not get lost.

Ctrl-C raises KeyboardInterrupt wherever Python happens to be. Some libraries catch all that is
raised (pycma has bare excepts), and so does Python in destructors. So the wish is remembered, too:
whoever is about to record something checks it, and what was swallowed is raised there again.
"""

import signal
import threading
from types import FrameType
from typing import ClassVar, NoReturn


class Terminated(KeyboardInterrupt):
    """SIGTERM: stop as Ctrl-C does."""


class Wish:
    """Whether this process was asked to stop: one wish for all, as signals are."""

    asked: ClassVar[type[KeyboardInterrupt] | None] = None


def listen() -> None:
    """Take Ctrl-C and SIGTERM as a wish to stop; only the main thread hears signals."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _stop)
        signal.signal(signal.SIGTERM, _stop)


def check() -> None:
    """Raise what a signal raised, if there was one.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; or SIGTERM came, as Terminated.
    """
    if Wish.asked is not None:
        raise Wish.asked


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    Wish.asked = Terminated if number == signal.SIGTERM else KeyboardInterrupt
    raise Wish.asked
