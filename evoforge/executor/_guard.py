"""A process that outlives this one by a moment, and ends what must not outlive it for longer.

Started as a program it is told processes, one a line, and kills them when whoever told it is gone.
Those that are gone already are left alone, also where another process has their number by now.
"""

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress

import psutil


class Guard:
    """Watches over processes until it is closed.

    Args:
        processes: what is to end with this process.
    """

    def __init__(self, processes: Iterable[psutil.Process]) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert self._process.stdin is not None
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                print(process.pid, process.create_time(), file=self._process.stdin, flush=True)

    def close(self) -> None:
        """End what is left of them, and the guard."""
        self._process.communicate()


def started_by_ray() -> list[psutil.Process]:
    """Return the processes of Ray that this process started."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            line = " ".join(process.cmdline())
            if line.startswith("ray::") or "/ray/" in line:
                found.append(process)
    return found


def main() -> None:
    """Wait for the end of the input, then kill."""
    told = [line.split() for line in sys.stdin]
    for pid, created in told:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(int(pid))
            if process.create_time() == float(created):
                process.kill()


if __name__ == "__main__":
    main()
