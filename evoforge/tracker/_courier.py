"""Runs calls one after another in a thread of its own, so that a slow network holds up nobody."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

Call = Callable[[], None]


class Courier:
    """Takes calls and makes them in order; after one that raises, only the last is made.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._last: Call | None = None
        self._error: Exception | None = None
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def send(self, call: Call) -> None:
        """Take a call; raises what an earlier one raised."""
        self._raise()
        self._calls.put(call)

    def close(self, last: Call, timeout: float) -> bool:
        """Take the last call, wait for it, and raise what any call raised.

        Args:
            last: made in any case, to clean up.
            timeout: seconds; the longest wait.

        Returns:
            Whether all is done.
        """
        self._last = last
        self._calls.put(last)
        self._calls.put(None)
        self._thread.join(timeout)
        self._raise()
        return not self._thread.is_alive()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            if self._error is not None and call is not self._last:
                continue
            try:
                call()
            # Whatever it is, it belongs to the one who sends: a thread has no caller.
            except (Exception, SystemExit) as error:  # noqa: BLE001
                first = self._error or error
                self._error = first if isinstance(first, Exception) else RuntimeError(str(first))
