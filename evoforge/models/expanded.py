"""Weights with an adapter's changes, made as they are read.

Knows what an adapter does to a tensor; does not know how adapters are stored.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from evoforge.models.weights import Tensors, content_hash
from evoforge.recipe import digest


@dataclass(frozen=True)
class Change:
    """What an adapter does to one tensor of its base: W' = W + scaling * up @ down.

    Args:
        module: the changed module, as peft calls it.
        down: (rank, in), or None where no matrices are added.
        up: (out, rank), or None.
        scaling: what the product is multiplied by.
        transposed: whether the base stores the weight as (in, out), as embeddings are.
        added: what is added besides, times the scaling: a bias of the second matrix.
        instead: what takes the base's place, or None.
    """

    module: str
    down: torch.Tensor | None = None
    up: torch.Tensor | None = None
    scaling: float = 1.0
    transposed: bool = False
    added: torch.Tensor | None = None
    instead: torch.Tensor | None = None

    @property
    def parts(self) -> dict[str, torch.Tensor]:
        """The tensors that the adapter stores for this change."""
        given = {"down": self.down, "up": self.up, "added": self.added, "instead": self.instead}
        return {name: tensor for name, tensor in given.items() if tensor is not None}

    @property
    def shape(self) -> torch.Size:
        """The shape of what can be changed so."""
        if self.down is not None and self.up is not None:
            shape = (self.up.shape[0], self.down.shape[1])
            return torch.Size(shape[::-1] if self.transposed else shape)
        return next(iter(self.parts.values())).shape

    @property
    def dtype(self) -> torch.dtype:
        """The type of what is changed so: sums are float32, what is put in place stays as it is."""
        parts = self.parts
        return parts["instead"].dtype if [*parts] == ["instead"] else torch.float32

    def applied(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the changed tensor, in float32 unless it is only replaced."""
        start = tensor if self.instead is None else self.instead
        if self.down is not None and self.up is not None:
            product = self.up.float() @ self.down.float()
            start = start.float() + (product.T if self.transposed else product) * self.scaling
        if self.added is not None:
            start = start.float() + self.added.float() * self.scaling
        return start


class Expanded(Tensors):
    """The weights of a source with an adapter's changes, made when they are asked for.

    Nothing is kept: a change costs little, and whole models would fill the memory.

    Args:
        base: the weights that are changed.
        changes: by the name of the base's tensor.
    """

    def __init__(self, base: Tensors, changes: Mapping[str, Change]) -> None:
        self.base = base
        self.changes = changes

    def __getitem__(self, name: str) -> torch.Tensor:
        if name in self.changes:
            return self.changes[name].applied(self.base[name])
        return self.base[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.base)

    def __len__(self) -> int:
        return len(self.base)

    def shape(self, name: str) -> torch.Size:
        """Return a tensor's shape."""
        return self.base.shape(name)

    def dtype(self, name: str) -> torch.dtype:
        """Return a tensor's type."""
        if name in self.changes:
            return self.changes[name].dtype
        return self.base.dtype(name)

    def hashes(self) -> dict[str, str]:
        """Return each tensor's content hash: the base's, and what changes it."""
        found = self.base.hashes()
        for name, change in self.changes.items():
            parts = {part: content_hash(tensor) for part, tensor in change.parts.items()}
            rule = [change.scaling, change.transposed]
            found[name] = digest({"base": found[name], "rule": rule, "parts": parts})
        return found
