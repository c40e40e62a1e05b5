"""The magnitudes of one task vector, looked at once, so that any of them is quickly found by rank.

Nothing is sorted for a candidate. Magnitudes are counted by their exponent and the first bits of
their mantissa. Differences of numbers with short mantissas (bfloat16, float16) nearly all have
short mantissas themselves: then each distinct magnitude is known with its count, and any rank is
looked up. Of other task vectors the counts tell in which bin a rank lies, and only that bin is
searched.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from evoforge.merge._part import Whole

# Exponent and ten bits of the mantissa.
SHIFT = 13
BINS = 1 << (31 - SHIFT)
# Elements looked at together.
BLOCK = 1 << 20
# Elements that may be kept in full.
SMALL = 1 << 17
# So that 0.3 of 10 elements is 3, whatever 0.3 is in binary.
EPSILON = 1e-8
# Share of long mantissas up to which distinct magnitudes are kept.
ODD = 0.05
# Bins whose elements are kept, of each task vector.
SEARCHED = 4

# Returns the elements of a task vector in order, some at a time: float32.
Blocks = Callable[[int], Iterator[torch.Tensor]]


class Magnitudes:
    """Ranks of magnitudes; exact for every rank.

    Args:
        blocks: gives the task vector, in blocks of a size.

    Attributes:
        size: the number of its elements.
        zeros: how many of them are 0.
    """

    def __init__(self, blocks: Blocks) -> None:
        counts = np.zeros(2 * BINS, dtype=np.int64)
        odds: list[torch.Tensor] | None = []
        size = seen = 0
        for bits in map(_bits, blocks(BLOCK)):
            size += bits.numel()
            odd = (bits & ((1 << SHIFT) - 1)) != 0
            # Two counts for each bin: magnitudes that are its lower edge, and others.
            codes = ((bits >> SHIFT) << 1).bitwise_or_(odd)
            counts += torch.bincount(codes, minlength=2 * BINS).cpu().numpy()
            if odds is not None:
                odds.append(bits[odd].cpu())
                seen += odds[-1].numel()
                if size > SMALL and seen > ODD * size:
                    odds = None
        self.size = size
        self.zeros = int(counts[0])
        self._found: OrderedDict[int, NDArray[np.float32]] = OrderedDict()
        self._exact = odds is not None
        if odds is not None:
            pure = counts[::2]
            (filled,) = pure.nonzero()
            more, times = np.unique(
                torch.cat(odds).numpy() if odds else filled[:0], return_counts=True
            )
            values = np.concatenate([(filled << SHIFT).astype(np.int32), more.astype(np.int32)])
            order = np.argsort(-values, kind="stable")
            self._values = values[order].view(np.float32)
            self._upto = np.concatenate([pure[filled], times])[order].cumsum().astype(np.uint32)
        else:
            both = counts[::2] + counts[1::2]
            (filled,) = both.nonzero()
            self._values = filled[::-1].astype(np.int32)
            self._upto = both[filled][::-1].cumsum().astype(np.uint32)

    def largest(self, rank: int, blocks: Blocks) -> float:
        """Return the `rank`-th largest magnitude, counted from 1.

        Args:
            rank: in [1, size].
            blocks: gives the same task vector again, should it have to be searched.
        """
        place = int(np.searchsorted(self._upto, rank))
        if self._exact:
            return float(self._values[place])
        above = int(self._upto[place - 1]) if place else 0
        return float(self._inside(int(self._values[place]), blocks)[-(rank - above)])

    def _inside(self, bin_: int, blocks: Blocks) -> NDArray[np.float32]:
        """Return the magnitudes of one bin, sorted."""
        if bin_ in self._found:
            self._found.move_to_end(bin_)
            return self._found[bin_]
        inside = [bits[(bits >> SHIFT) == bin_].cpu() for bits in map(_bits, blocks(BLOCK))]
        self._found[bin_] = torch.cat(inside).sort().values.numpy().view(np.float32)
        if len(self._found) > SEARCHED:
            self._found.popitem(last=False)
        return self._found[bin_]


def _bits(values: torch.Tensor) -> torch.Tensor:
    # Magnitudes are ordered as their bits are.
    return values.abs().view(torch.int32)


class Ranks:
    """The magnitudes of all task vectors of a merger, each looked at when it is first asked for."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Magnitudes] = {}

    def largest(self, whole: Whole, index: int, rank: int) -> float:
        """Return the `rank`-th largest magnitude of a source's task vector, counted from 1."""
        key = (whole.sources[index], whole.name)
        blocks = partial(whole.blocks, index)
        if key not in self._known:
            self._known[key] = Magnitudes(blocks)
        return self._known[key].largest(rank, blocks)

    def threshold(self, whole: Whole, index: int, density: float) -> float:
        """Return the smallest magnitude that is kept when the largest ones are.

        The floor(density n) largest are, at least one.
        """
        size = whole.tensors[index].numel()
        count = max(1, int(density * size + EPSILON))
        return 0.0 if count >= size else self.largest(whole, index, count)
