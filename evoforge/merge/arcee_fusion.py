"""Arcee Fusion: add only the changes that matter, told by size and by what they do to a row."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from evoforge.merge._engine import by_rows
from evoforge.merge._magnitudes import Blocks, Magnitudes
from evoforge.merge._masks import as_float
from evoforge.merge._task_vectors import lambda_range
from evoforge.merge.base import Numbers, Part, TensorMerger, Whole
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range

# Added to probabilities.
TINY = 1e-8


class ArceeFusion(TensorMerger):
    """The base plus those elements of task vectors that are important.

    An element's importance is |delta| times the divergence KL(softmax(x) || softmax(b)) of its row;
    important is what reaches median + reach (Q3 - Q1) of the tensor's importances. Every source is
    looked at alone, and theta = base + lambda sum_m w_m delta_m over what is important.

    Args:
        pool: the sources and their base.
        weight: number or range; any sign.
        reach: interquartile ranges above the median, negative below: number or range; the same for
            all sources.
        lambda_: factor on the whole sum: number or range.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, or there is no base.

    Reference:
        Goddard 2024, Arcee's MergeKit (arXiv 2403.13257); the method is mergekit's own.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        weight: Any = 1.0,
        reach: Any = 1.5,
        lambda_: Any = 1.0,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        super().__init__(
            pool,
            ranges={"weight": Range.parse("weight", weight, low=-10, high=10)},
            shared={
                "reach": Range.parse("reach", reach, low=-100, high=100),
                "lambda_": lambda_range(lambda_),
            },
            options={},
            granularity=granularity,
            block_size=block_size,
        )
        self._known: dict[tuple[str, str], tuple[torch.Tensor, float, float]] = {}

    def numbers(self, whole: Whole) -> Numbers:
        """Return the divergence of each row, and the least importance that is enough."""
        found = [self._look(whole, index) for index in range(len(whole.tensors))]
        reach = whole.shared["reach"]
        return {
            **super().numbers(whole),
            "apart": torch.stack([apart for apart, _, _ in found]),
            "least": torch.tensor([median + reach * spread for _, median, spread in found]),
        }

    def _look(self, whole: Whole, index: int) -> tuple[torch.Tensor, float, float]:
        """Return the divergence of a source's rows, and median and spread of its importances."""
        key = (whole.sources[index], whole.name)
        if key not in self._known:
            apart = divergences(whole, index)
            importances = partial(_importances, whole, index, apart)
            low, median, high = _quartiles(importances)
            self._known[key] = apart, median, high - low
        return self._known[key]

    def merge(self, part: Part) -> torch.Tensor:
        """Return the base plus what is important."""
        mixed = torch.zeros_like(part.anchor)
        for index in range(len(part.tensors)):
            delta = part.delta(index)
            importance = delta.abs() * part["apart"][index]
            mask = as_float(torch.ge, importance, part["least"][index])
            mixed = mixed + delta * mask * part["weight"][index]
        return mixed * part["lambda_"] + part.anchor


def divergences(whole: Whole, index: int) -> torch.Tensor:
    """Return KL(softmax(x) || softmax(b)) of each row of a source: (rows, 1) float32."""
    assert whole.base is not None
    mine, base = by_rows(whole.tensors[index]), by_rows(whole.base)
    found = []
    at_once = max(1, (1 << 20) // mine.shape[1])
    for first in range(0, len(mine), at_once):
        rows = slice(first, first + at_once)
        p = mine[rows].float().softmax(-1) + TINY
        q = base[rows].float().softmax(-1) + TINY
        # One long row alone would be summed by several threads, and rounded by their number.
        twice = (p * (p / q).log()).expand(2, *p.shape)
        found.append(twice.sum(-1, keepdim=True)[0])
    return torch.cat(found)


def _importances(
    whole: Whole, index: int, apart: torch.Tensor, size: int
) -> Iterator[torch.Tensor]:
    assert whole.base is not None
    mine, base = by_rows(whole.tensors[index]), by_rows(whole.base)
    at_once = max(1, size // mine.shape[1])
    for first in range(0, len(mine), at_once):
        rows = slice(first, first + at_once)
        delta = mine[rows].float() - base[rows].float()
        yield (delta.abs() * apart[rows]).reshape(-1)


def _quartiles(importances: Blocks) -> list[float]:
    """Return the importances that a quarter, half and three quarters are not above."""
    ranks = Magnitudes(importances)
    places = (int(share * (ranks.size - 1)) for share in (0.25, 0.5, 0.75))
    return [ranks.largest(ranks.size - place, importances) for place in places]
