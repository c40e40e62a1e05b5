"""RAM: what one model alone changed is kept in full, what several changed is averaged."""

import math
from typing import Any

import torch

from evoforge.errors import ConfigError
from evoforge.merge._engine import parts
from evoforge.merge._masks import as_float
from evoforge.merge._task_vectors import lambda_range
from evoforge.merge.base import Numbers, Part, TensorMerger, Whole
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range

# A change that is smaller than this is none.
ACTIVE = 1e-5


class Ram(TensorMerger):
    """Reinforced agent merging: sparse task vectors, overlaps averaged.

    A source is active where |delta| > 1e-5. theta = base + lambda times the mean of the task
    vectors that are active there, which is the whole of one that is alone. `boost` makes up for
    what a source loses where it shares: its own part is multiplied by
    1 + boost min(shared / own, limit), with its numbers of elements that are
    active with others and alone (RAM+).

    Args:
        pool: the sources and their base.
        lambda_: factor on the whole: number or range.
        boost: number or range, 0 or more; 0 is RAM, 0.1 what RAM+ uses.
        limit: of the ratio; 0.2 is what RAM+ uses.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, or there is no base.

    Reference:
        Yuan 2026, Behavior Knowledge Merge in Reinforced Agentic Models (arXiv 2601.13572).
    """

    def __init__(
        self,
        pool: Pool,
        *,
        lambda_: Any = 1.0,
        boost: Any = 0.0,
        limit: float = 0.2,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        if not 0 <= limit < math.inf:
            raise ConfigError(f"limit must be a number from 0 on, got {limit}; set merge.limit")
        super().__init__(
            pool,
            ranges={},
            shared={
                "lambda_": lambda_range(lambda_),
                "boost": Range.parse("boost", boost, low=0, high=10),
            },
            options={"limit": limit},
            granularity=granularity,
            block_size=block_size,
        )
        self._counts: dict[tuple[str, ...], list[tuple[int, int]]] = {}

    def numbers(self, whole: Whole) -> Numbers:
        """Return what each source's own part is multiplied by."""
        numbers = super().numbers(whole)
        boost = whole.shared["boost"]
        if not boost:
            return {**numbers, "own": torch.ones(len(whole.tensors))}
        key = (whole.name, *whole.sources)
        if key not in self._counts:
            self._counts[key] = _counts(whole)
        ratios = [
            min(shared / max(alone, 1), self.options["limit"])
            for alone, shared in self._counts[key]
        ]
        return {**numbers, "own": torch.tensor([1 + boost * ratio for ratio in ratios])}

    def merge(self, part: Part) -> torch.Tensor:
        """Return the base plus the mean of what is active."""
        active = _active(part)
        count = active[0]
        for mask in active[1:]:
            count = count + mask
        alone = as_float(torch.eq, count, 1)
        mixed = torch.zeros_like(count)
        for index, mask in enumerate(active):
            mixed = mixed + part.delta(index) * mask * (1 + alone * (part["own"][index] - 1))
        return mixed / count.clamp(min=1) * part["lambda_"] + part.anchor


def _active(part: Part) -> list[torch.Tensor]:
    deltas = (part.delta(index) for index in range(len(part.tensors)))
    return [as_float(torch.gt, delta.abs(), ACTIVE) for delta in deltas]


def _counts(whole: Whole) -> list[tuple[int, int]]:
    """Return each source's number of elements that are active alone, and with others."""
    found = [(0, 0)] * len(whole.tensors)
    for part in parts(whole, {}):
        active = torch.stack(_active(part)) > 0
        count = active.sum(0)
        for index, mask in enumerate(active):
            alone, shared = found[index]
            found[index] = (
                alone + int((mask & (count == 1)).sum()),
                shared + int((mask & (count > 1)).sum()),
            )
    return found
