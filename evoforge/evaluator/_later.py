"""An evaluator that is built when somebody needs it: a live model takes as much as a model does."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from evoforge.candidate import Candidate
from evoforge.evaluator.base import Evaluator
from evoforge.task.base import Item


class Later:
    """Stands for an evaluator that there is not yet, and perhaps never will be.

    Where workers do the evaluations, the process that searches needs one for the export of paths at
    most.

    Args:
        make: builds it.
    """

    def __init__(self, make: Callable[[], Evaluator]) -> None:
        self._make = make
        self._made: Evaluator | None = None

    def get(self) -> Evaluator:
        """Return the evaluator, built now if it was not before.

        Raises:
            ConfigError: an option makes no sense.
        """
        if self._made is None:
            self._made = self._make()
        return self._made

    def logits(self, candidate: Candidate, items: Sequence[Item]) -> list[torch.Tensor]:
        """Return what a candidate says of every next token; see `Evaluator.logits`."""
        return self.get().logits(candidate, items)

    def logits_of(self, folder: Path, items: Sequence[Item]) -> list[torch.Tensor]:
        """Return what the model of a folder says; see `Evaluator.logits_of`."""
        return self.get().logits_of(folder, items)

    def close(self) -> None:
        """Give back what it holds, if it was built; may be called twice."""
        if self._made is not None:
            self._made.close()
