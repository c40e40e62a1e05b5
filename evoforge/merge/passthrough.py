"""Passthrough: each group of tensors as it is in one of the sources, scaled if wanted."""

from dataclasses import replace
from typing import Any

import torch

from evoforge.errors import ConfigError
from evoforge.merge.base import Part, TensorMerger, Whole
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range


class Passthrough(TensorMerger):
    """One source's tensors, times a scale; which source is searched for each group.

    Args:
        pool: the sources; the base takes no part.
        source: the name of the source to take; None to search which.
        scale: number or range; any sign.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, or there is no such source.
    """

    needs_base = False

    def __init__(
        self,
        pool: Pool,
        *,
        source: str | None = None,
        scale: Any = 1.0,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        names = [member.name for member in pool.sources]
        if source is not None and source not in names:
            raise ConfigError(
                f"source must be one of {', '.join(names)}, got {source}; set merge.source"
            )
        if granularity == "profile" and source is None:
            raise ConfigError(
                "there is nothing between one source and the next; set merge.granularity to "
                "layer or block, or set merge.source"
            )
        last = 0 if source is None else names.index(source)
        first, last = (0, len(names) - 1) if source is None else (last, last)
        super().__init__(
            pool,
            ranges={},
            shared={
                "source": Range(first, last, first, "integer"),
                "scale": Range.parse("scale", scale, low=-10, high=10),
            },
            options={"source": source},
            granularity=granularity,
            block_size=block_size,
        )

    def write(self, whole: Whole, out: torch.Tensor) -> None:
        """Write the tensor of the source that is taken; the others are not read."""
        taken = slice(round(whole.shared["source"]), round(whole.shared["source"]) + 1)
        super().write(
            replace(
                whole,
                tensors=whole.tensors[taken],
                sources=whole.sources[taken],
                values=whole.values[taken],
            ),
            out,
        )

    def merge(self, part: Part) -> torch.Tensor:
        """Return the tensor of the source that is taken, scaled."""
        return part.tensors[0] * part["scale"]
