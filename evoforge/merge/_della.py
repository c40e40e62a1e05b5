"""What DELLA's methods share: small changes are dropped more often than large ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evoforge.merge._engine import by_rows
from evoforge.merge._masks import as_float, words
from evoforge.merge._part import Numbers, Part, Whole
from evoforge.merge._task_vectors import TaskVectors

# Where in a row's ranks, from 0 for the smallest magnitude to 1 for the largest, magnitudes are
# known; denser at the end, where few elements lie far apart.
KNOTS = np.array([0.0, 0.3, 0.58, 0.8, 0.95, 1.0])
SEGMENTS = len(KNOTS) - 1
# The least distance from a knot to the next, over its magnitude, and where all magnitudes are 0: a
# steeper rise would not survive float32.
NEAR, NOTHING = 1e-2, 1e-30
# Elements of rows that are ranked together.
BLOCK = 1 << 18


class Magprune(TaskVectors):
    """Task vectors of which each element is kept with a probability that rises with its rank.

    In a row of n elements with r its rank by magnitude, from 0 to n - 1, an element is kept with
    probability density - epsilon + 2 epsilon r / (n - 1). In rows of more than 6 elements ranks are
    exact at 6 magnitudes and read off straight lines between them, which is within about 0.03 of
    r / (n - 1). 1-D tensors are one row. Where the density is nearer than epsilon to 0 or 1,
    epsilon is what is left.

    Reference:
        Deep 2024, DELLA-Merging (arXiv 2406.11617), section 3.1.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._known: dict[tuple[str, str], tuple[torch.Tensor, torch.Tensor]] = {}
        # One piece of memory to rank rows in: pieces that come and go between what is kept are
        # never given back to the system.
        self._room = torch.empty(0)

    def dropping(self, whole: Whole) -> Numbers:
        """Return keys of hashes, the knots of each row, and probabilities."""
        densities = whole.column("density")
        epsilons = [
            min(epsilon, density, 1 - density)
            for epsilon, density in zip(whole.column("epsilon"), densities, strict=True)
        ]
        found = [self._row_knots(whole, index) for index in range(len(densities))]
        return {
            **self.mask_numbers(whole, densities),
            **{f"knots{i}": knots for i, (knots, _) in enumerate(found)},
            **{f"bends{i}": bends for i, (_, bends) in enumerate(found)},
            "lowest": torch.tensor([d - e for d, e in zip(densities, epsilons, strict=True)]),
            "rise": torch.tensor([2 * epsilon for epsilon in epsilons]),
        }

    def factors(self, whole: Whole, numbers: Numbers) -> Sequence[float]:
        """Return what each task vector is multiplied by; `keep` does it for `expected`."""
        if self.options["rescale"] == "expected":
            return [1.0] * len(whole.tensors)
        return super().factors(whole, numbers)

    def _row_knots(self, whole: Whole, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        key = (whole.sources[index], whole.name)
        if key not in self._known:
            width = by_rows(whole.tensors[index]).shape[1]
            if self._room.numel() < 2 * max(BLOCK, width):
                self._room = torch.empty(2 * max(BLOCK, width))
            self._known[key] = row_knots(whole, index, self._room)
        return self._known[key]

    def keep(self, part: Part, index: int) -> torch.Tensor:
        """Return a task vector with elements set to 0 at random, the smallest most often."""
        delta = part.delta(index)
        chance = self.chance(part, index, delta)
        mask = self.mask(part, index, chance)
        if self.options["rescale"] != "expected":
            return delta * mask
        # What has no chance is not kept; of all others NOTHING is lost in rounding.
        return delta * (mask / (chance + NOTHING))

    def chance(self, part: Part, index: int, delta: torch.Tensor) -> torch.Tensor:
        """Return the probability of each element to be kept: (rows, columns) float32."""
        size = delta.abs()
        knots, bends = part[f"knots{index}"], part[f"bends{index}"]
        rank = (size - knots[:, 0:1]).relu_() * bends[:, 0:1]
        for k in range(1, SEGMENTS):
            rank = rank + (size - knots[:, k : k + 1]).relu_() * bends[:, k : k + 1]
        return rank * part["rise"][index] + part["lowest"][index]

    def mask(self, part: Part, index: int, chance: torch.Tensor) -> torch.Tensor:
        """Return 1.0 for each element that is kept, else 0.0."""
        # A little beyond the words' range at both ends, so that 0 is never and 1 is always.
        limit = chance * (2.0**32 + 2.0**9) - (2.0**31 + 2.0**8)
        return as_float(torch.lt, words(part, index).float(), limit)


def _places(whole: Whole) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the ranks of a row at which magnitudes are known, and the same from 0 to 1.

    Of short rows that is all of them; what is missing to the number of knots is the last again.
    """
    last = by_rows(whole.tensors[0]).shape[1] - 1
    places = np.rint(KNOTS * last).astype(np.int64)
    if last < SEGMENTS:
        places = np.minimum(np.arange(SEGMENTS + 1), last)
    return places, places / max(last, 1)


def row_knots(whole: Whole, index: int, room: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the magnitudes of each row at its knots but the last, and how ranks bend there.

    Args:
        whole: the tensor of every source.
        index: of the source.
        room: float32, for two rows or more, to work in.

    Returns:
        (rows, SEGMENTS) float32 each; a bend is how much steeper rank rises after a knot than
        before, so rank is the sum of bend x max(magnitude - knot, 0).
    """
    tensor = by_rows(whole.tensors[index])
    base = None if whole.base is None else by_rows(whole.base)
    places, ranks = _places(whole)
    widths = torch.from_numpy(np.diff(ranks)).float()
    count, width = tensor.shape
    knots, bends = torch.empty(count, SEGMENTS), torch.empty(count, SEGMENTS)
    at_once = room.numel() // 2 // width
    for first in range(0, count, at_once):
        size = min(at_once, count - first)
        rows, other = room[: 2 * size * width].view(2, size, width)
        rows.copy_(tensor[first : first + at_once])
        if base is not None:
            rows.sub_(other.copy_(base[first : first + at_once]))
        rows.abs_().numpy().sort(axis=1)
        found = rows[:, places]
        apart = torch.maximum(found.diff(dim=1), found[:, 1:] * NEAR).clamp_(min=NOTHING)
        knots[first : first + at_once] = found[:, :-1]
        slopes = torch.nn.functional.pad(widths / apart, (1, 0))
        bends[first : first + at_once] = slopes.diff(dim=1)
    return knots.to(tensor.device), bends.to(tensor.device)
