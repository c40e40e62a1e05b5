"""A candidate: a recipe that can give tensors. Mergers make candidates, evaluators use them.

Neither side knows the other; this is all they share.
"""

from collections.abc import Hashable, Sequence
from typing import Protocol

import torch


class Candidate(Protocol):
    """A merged model that need not exist in memory as a whole."""

    @property
    def identity(self) -> str:
        """The hash of the recipe."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The names of all tensors, as in the sources' checkpoints."""
        ...

    def key(self, name: str) -> Hashable:
        """Return what fixes one tensor's values: equal keys, equal bytes."""
        ...

    def tensor(self, name: str) -> torch.Tensor:
        """Return one merged tensor in float32.

        Raises:
            MergeError: the tensor is not finite.
        """
        ...
