"""Nearswap: take the other model's elements where they are near, and fewer of the others."""

from typing import Any

import torch

from evoforge.merge.base import Numbers, Part, TensorMerger, Whole
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range

# A difference that counts as none.
NOTHING = 1e-6


class Nearswap(TensorMerger):
    """Interpolation of each element by how near it is.

    theta = (1 - v) a + v b with v = clamp(t / |a - b|, 0, 1), from the first source to the second,
    from there to the third, and so on: an element moves by t at most.

    Args:
        pool: the sources, two at least; the base takes no part.
        t: how far an element may move, for each source but the first: number or range, 0 or more.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, or there is one source only.

    Reference:
        Goddard 2024, Arcee's MergeKit (arXiv 2403.13257); the method is Alchemonaut's.
    """

    needs_base = False
    least = 2
    from_first = True

    def __init__(
        self,
        pool: Pool,
        *,
        t: Any = 0.001,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        super().__init__(
            pool,
            ranges={"t": Range.parse("t", t, low=0, high=10)},
            options={},
            granularity=granularity,
            block_size=block_size,
        )

    def numbers(self, whole: Whole) -> Numbers:
        """Return how far elements may move towards each source but the first."""
        return {"t": torch.tensor([values["t"] for values in whole.values[1:]])}

    def merge(self, part: Part) -> torch.Tensor:
        """Return the first source moved towards each of the others."""
        far = part.tensors[0]
        for index, tensor in enumerate(part.tensors[1:]):
            share = (part["t"][index] / (far - tensor).abs().clamp(min=NOTHING)).clamp(max=1.0)
            far = far * (1 - share) + tensor * share
        return far
