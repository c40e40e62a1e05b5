"""What workers say: values that any process can read."""

from dataclasses import dataclass

from evoforge.errors import EvoforgeError
from evoforge.evaluation import Evaluation


@dataclass(frozen=True)
class Beat:
    """The worker is alive."""


@dataclass(frozen=True)
class Ready:
    """The worker has built what it needs, and takes a job."""


@dataclass(frozen=True)
class Done:
    """The job is done."""

    evaluation: Evaluation


@dataclass(frozen=True)
class Raised:
    """The user's mistake, told in its own sentence."""

    error: EvoforgeError


@dataclass(frozen=True)
class Broken:
    """A fault of evoforge itself.

    Args:
        trace: the traceback, whose last line says what it is.
    """

    trace: str


@dataclass(frozen=True)
class Gone:
    """The worker is no more; said by whoever found it so.

    Args:
        reason: what is known, to go on with "the worker ..."; the same whenever it happens.
        printed: what it printed last, if anything.
    """

    reason: str
    printed: str = ""


@dataclass(frozen=True)
class Said:
    """A line of the worker's log.

    Args:
        name: of the logger.
        level: as `logging` counts.
        text: the message.
    """

    name: str
    level: int
    text: str


Message = Beat | Ready | Done | Raised | Broken | Gone | Said
