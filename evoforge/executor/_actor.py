"""What a worker does that Ray starts, on whatever node; and a handle on it.

Imports nothing that computes, and Ray only where it is there already: the class travels to nodes.
"""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Any

from evoforge.errors import EvoforgeError
from evoforge.executor._messages import Beat, Broken, Done, Gone, Message, Raised, Ready, Said
from evoforge.executor._seat import Worker
from evoforge.executor.base import Evaluate, Job, Place
from evoforge.visible import one_line

# The group of calls that are answered while another group is at work.
PULSE = "pulse"


class Hands:
    """Does jobs in an actor of Ray; all it says are messages.

    Args:
        environment: variables to be set before anything is imported that computes.
        folder: that the search runs in; relative paths mean it, where there is one of that name.
    """

    def __init__(self, environment: Mapping[str, str], folder: str) -> None:
        import ray

        os.environ.update(environment)
        if Path(folder).is_dir():
            os.chdir(folder)
        gpus = ray.get_gpu_ids()
        if not gpus:
            # A node may show actors that asked for none all that it has.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        # Ray lets an actor see its own GPUs only. Of several the evaluator says what is where.
        self._place = Place("cuda:0") if len(gpus) == 1 else Place()
        self._evaluate: Evaluate | None = None
        self._relay = Relay()

    def hello(self) -> None:
        """Answer, which tells that there was room for the actor."""

    def pulse(self, seconds: float) -> None:
        """Answer after so many seconds, which tells that the process goes on."""
        sleep(seconds)

    def begin(self, make: Callable[[Place], Evaluate]) -> list[Message]:
        """Build what does jobs."""
        logging.root.addHandler(self._relay)
        logging.root.setLevel(logging.INFO)
        try:
            self._evaluate = make(self._place)
        except EvoforgeError as error:
            return [Raised(error)]
        return [*self._relay.taken(), Ready()]

    def do(self, job: Job) -> list[Message]:
        """Do a job."""
        assert self._evaluate is not None, "begin comes first"
        try:
            found: Message = Done(self._evaluate(job))
        except EvoforgeError as error:
            found = Raised(error)
        return [*self._relay.taken(), found]


class Relay(logging.Handler):
    """Keeps what is logged until the parent is told."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Said] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self._lines.append(Said(record.name, record.levelno, record.getMessage()))

    def taken(self) -> list[Said]:
        """Return what was kept, and forget it."""
        lines, self._lines = self._lines, []
        return lines


class Actor(Worker):
    """A handle on an actor, which is asked for at once and there when the cluster has room.

    Args:
        ray: the module.
        hands: the class of the actor, as Ray takes it.
        make: makes in it what does jobs.
        arguments: of `Hands`.
        beat: seconds between two of its signs of life.
    """

    def __init__(
        self,
        ray: Any,
        hands: Any,
        make: Callable[[Place], Evaluate],
        arguments: tuple[Any, ...],
        beat: float,
    ) -> None:
        self._ray = ray
        self._beat = beat
        self._working = True
        self._actor = hands.remote(*arguments)
        self._pulse = self._actor.hello.remote()
        self._work: Any = self._actor.begin.remote(make)

    @property
    def calls(self) -> list[Any]:
        """What is not answered yet, as Ray names it."""
        return [call for call in (self._work, self._pulse) if call is not None]

    def give(self, job: Job) -> None:
        """Hand over a job; see `Worker.give`."""
        self._working = True
        self._work = self._actor.do.remote(job)
        if self._pulse is None:
            self._feel()

    def dismiss(self) -> None:
        """There is nothing that an actor without work has to put in order."""

    def kill(self) -> None:
        """End it; Ray kills a process that does not end by itself."""
        self._work = self._pulse = None
        if not self._ray.is_initialized():
            return  # Ray was shut down with all its actors, and would start anew to be told
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._actor)

    def answered(self, call: Any) -> list[Message]:
        """Return what a call that is answered says."""
        pulse = call == self._pulse
        if pulse:
            self._pulse = None
        else:
            self._work, self._working = None, False
        try:
            found = self._ray.get(call)
        except self._ray.exceptions.RayTaskError as error:
            return [Broken(str(error))]
        except self._ray.exceptions.RayError as error:
            self._work = self._pulse = None
            return [Gone(_reason(self._ray, error))]
        if not pulse:
            return list(found)
        if self._working:
            self._feel()
        return [Beat()]

    def _feel(self) -> None:
        self._pulse = self._actor.pulse.options(concurrency_group=PULSE).remote(self._beat)


def _reason(ray: Any, error: Exception) -> str:
    """Return what is known of the death of an actor, without what differs from death to death."""
    text = str(error)
    if isinstance(error, ray.exceptions.OutOfMemoryError) or "running low on memory" in text:
        return "was ended by Ray, for its node ran out of memory"
    if "node has died" in text or isinstance(error, ray.exceptions.NodeDiedError):
        return "was lost with its node"
    if getattr(error, "_actor_init_failed", False):
        return f"could not be set up: {one_line(text.rstrip().splitlines()[-1])}"
    return "died, perhaps for want of memory; Ray's logs may know more"
