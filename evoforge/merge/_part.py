"""One tensor of every source with the numbers to merge it with: what merge methods work on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Part:
    """One tensor of every source that is merged, and the numbers to merge it with.

    Args:
        name: the tensor's name.
        base: float32, or None where the pool has no base.
        tensors: float32, one for each source, of the base's shape.
        sources: the sources' names.
        values: for each source its parameters.
    """

    name: str
    base: torch.Tensor | None
    tensors: Sequence[torch.Tensor]
    sources: Sequence[str]
    values: Sequence[Mapping[str, float]]

    def column(self, parameter: str) -> list[float]:
        """Return a parameter of all sources."""
        return [values[parameter] for values in self.values]

    @property
    def anchor(self) -> torch.Tensor:
        """The base's tensor."""
        assert self.base is not None
        return self.base

    def delta(self, index: int) -> torch.Tensor:
        """Return a source's task vector: its tensor less the base's."""
        return self.tensors[index] - self.anchor
