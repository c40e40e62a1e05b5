"""Passthrough: each group of tensors as it is in one of the sources, scaled if wanted."""

from typing import Any

import torch

from evoforge.errors import ConfigError
from evoforge.merge._sphere import combine
from evoforge.merge.base import Numbers, Part, TensorMerger, Whole
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range


class Passthrough(TensorMerger):
    """One source's tensors, times a scale; which source is searched for each group.

    Args:
        pool: the sources; the base takes no part.
        source: the name of the source to take; None to search which.
        scale: number or range; any sign.
        granularity: `whole`, `block`, `layer`, `module` or `profile`.
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

    def numbers(self, whole: Whole) -> Numbers:
        """Return the scale of each source: 0 of all but the one that is taken."""
        taken, scale = round(whole.shared["source"]), whole.shared["scale"]
        scales = [scale if index == taken else 0.0 for index in range(len(whole.tensors))]
        return {"scale": torch.tensor(scales)}

    def merge(self, part: Part) -> torch.Tensor:
        """Return the tensor of the source that is taken."""
        return combine(part.tensors, part["scale"])
