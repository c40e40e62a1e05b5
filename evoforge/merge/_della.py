"""What DELLA's methods share: small changes are dropped more often than large ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from evoforge.merge._engine import by_rows
from evoforge.merge._masks import as_float, words
from evoforge.merge._part import Numbers, Part, Whole
from evoforge.merge._task_vectors import TaskVectors

# Steps from the smallest rank of a row to the largest; a row with fewer elements has its own ranks.
STEPS = 16
# Elements of rows that are ranked together.
BLOCK = 1 << 18


class Magprune(TaskVectors):
    """Task vectors of which each element is kept with a probability that rises with its rank.

    In a row of n elements with r its rank by magnitude, from 0 to n - 1, an element is kept with
    probability density - epsilon + 2 epsilon r / (n - 1). In rows of more than 17 elements
    r / (n - 1) is rounded to one of 17 steps, which changes no probability by more than
    epsilon / 16; elements of one magnitude have the rank of the last of them. 1-D tensors are one
    row. Where the density is nearer than epsilon to 0 or 1, epsilon is what is left.

    Reference:
        Deep 2024, DELLA-Merging (arXiv 2406.11617), section 3.1.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._known: dict[tuple[str, str], torch.Tensor] = {}

    def dropping(self, whole: Whole) -> Numbers:
        """Return keys of hashes, the steps of each row, and probabilities."""
        densities = whole.column("density")
        epsilons = [
            min(epsilon, density, 1 - density)
            for epsilon, density in zip(whole.column("epsilon"), densities, strict=True)
        ]
        steps = min(by_rows(whole.tensors[0]).shape[1] - 1, STEPS)
        return {
            **self.mask_numbers(whole, densities),
            **{f"steps{i}": self._steps(whole, i) for i in range(len(densities))},
            "lowest": torch.tensor([d - e for d, e in zip(densities, epsilons, strict=True)]),
            "rise": torch.tensor([2 * epsilon / max(steps, 1) for epsilon in epsilons]),
        }

    def factors(self, whole: Whole, numbers: Numbers) -> Sequence[float]:
        """Return what each task vector is multiplied by; `keep` does it for `expected`."""
        if self.options["rescale"] == "expected":
            return [1.0] * len(whole.tensors)
        return super().factors(whole, numbers)

    def _steps(self, whole: Whole, index: int) -> torch.Tensor:
        """Return the magnitudes at which a row's elements go a step up: (rows, STEPS) float32."""
        key = (whole.sources[index], whole.name)
        if key not in self._known:
            self._known[key] = row_steps(whole, index)
        return self._known[key]

    def keep(self, part: Part, index: int) -> torch.Tensor:
        """Return a task vector with elements set to 0 at random, the smallest most often."""
        delta = part.delta(index)
        chance = self.chance(part, index, delta)
        mask = self.mask(part, index, chance)
        if self.options["rescale"] != "expected":
            return delta * mask
        # What can be kept has a chance above 0.
        return delta * (mask / (chance + as_float(torch.eq, chance, 0)))

    def chance(self, part: Part, index: int, delta: torch.Tensor) -> torch.Tensor:
        """Return the probability of each element to be kept: (rows, columns) float32."""
        size, steps = delta.abs(), part[f"steps{index}"]
        rank = as_float(torch.ge, size, steps[:, 0:1])
        for step in range(1, STEPS):
            rank = rank + as_float(torch.ge, size, steps[:, step : step + 1])
        return rank * part["rise"][index] + part["lowest"][index]

    def mask(self, part: Part, index: int, chance: torch.Tensor) -> torch.Tensor:
        """Return 1.0 for each element that is kept, else 0.0."""
        # A little beyond the words' range at both ends, so that 0 is never and 1 is always.
        limit = chance * (2.0**32 + 2.0**9) - (2.0**31 + 2.0**8)
        return as_float(torch.lt, words(part, index).float(), limit)


def row_steps(whole: Whole, index: int) -> torch.Tensor:
    """Return the magnitudes at which the elements of a row go a step up: (rows, STEPS) float32."""
    tensor = by_rows(whole.tensors[index])
    base = None if whole.base is None else by_rows(whole.base)
    count, width = tensor.shape
    steps = min(width - 1, STEPS)
    found = torch.full((count, STEPS), torch.inf)
    places = np.ceil((np.arange(1, steps + 1) - 0.5) * (width - 1) / max(steps, 1)).astype(int)
    # One piece of memory for all rows: pieces that come and go between what is kept are never
    # given back to the system.
    at_once = min(max(1, BLOCK // width), count)
    room = torch.empty(at_once, width)
    for first in range(0, count, at_once):
        rows = room[: min(at_once, count - first)]
        rows.copy_(tensor[first : first + at_once])
        if base is not None:
            rows.sub_(base[first : first + at_once])
        rows.abs_().numpy().sort(axis=1)
        found[first : first + at_once, :steps] = rows[:, places]
    return found.to(tensor.device)
