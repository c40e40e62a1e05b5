"""What merge methods work on: one tensor of every source, as a whole and in parts.

A method looks at whole tensors to find the numbers it merges with (`Whole`), and merges elements
with these numbers (`Part`). It never sees how a tensor is cut into parts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch

# Names that number an element's place, for hashes of it; see `_masks`.
Numbers = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Whole:
    """One tensor of every source that is merged, as it is stored.

    Args:
        name: the tensor's name.
        base: of any floating type and shape, or None where the method takes no base.
        tensors: one for each source, of the base's shape.
        sources: the sources' names.
        values: for each source its parameters.
        shared: the parameters that belong to no source.
    """

    name: str
    base: torch.Tensor | None
    tensors: Sequence[torch.Tensor]
    sources: Sequence[str]
    values: Sequence[Mapping[str, float]]
    shared: Mapping[str, float] = field(default_factory=dict)

    def column(self, parameter: str) -> list[float]:
        """Return a parameter of all sources."""
        return [values[parameter] for values in self.values]

    def blocks(self, index: int, size: int) -> Iterator[torch.Tensor]:
        """Yield a source's elements in order, `size` at a time: flat, float32, not to be changed.

        Where there is a base, what is left of them without it: the task vector.
        """
        for base, tensor in self.pairs(index, size):
            yield tensor if base is None else tensor - base

    def pairs(self, index: int, size: int) -> Iterator[tuple[torch.Tensor | None, torch.Tensor]]:
        """Yield the elements of the base, if there is one, and a source: flat, float32."""
        flat = self.tensors[index].reshape(-1)
        base = None if self.base is None else self.base.reshape(-1)
        for start in range(0, flat.numel(), size):
            cut = slice(start, start + size)
            yield None if base is None else base[cut].float(), flat[cut].float()


@dataclass(frozen=True)
class Part:
    """Some elements of a tensor of every source, in float32, and the numbers to merge them with.

    Its elements are flat, (elements,), unless a number has a value for each row of the tensor:
    then they are (rows, columns).

    Args:
        base: float32, or None where the method takes no base.
        tensors: float32, one for each source; not to be changed.
        numbers: what the method's `numbers` gave: (sources,) or () float32 and whatever else; of
            numbers with two dimensions or more only the part's rows, which are the last but one.
        start: () int32, the place of the first element in the tensor, counted from 0.
    """

    base: torch.Tensor | None
    tensors: Sequence[torch.Tensor]
    numbers: Numbers
    start: torch.Tensor

    def __getitem__(self, name: str) -> torch.Tensor:
        """Return a number."""
        return self.numbers[name]

    @property
    def anchor(self) -> torch.Tensor:
        """The base's elements."""
        assert self.base is not None
        return self.base

    def delta(self, index: int) -> torch.Tensor:
        """Return a source's task vector: its elements less the base's."""
        return self.tensors[index] - self.anchor


def signed(word: int) -> int:
    """Return the int32 whose bits are the last 32 of a whole number."""
    return (word + 2**31) % 2**32 - 2**31
