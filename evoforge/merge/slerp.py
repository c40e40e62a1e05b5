"""Spherical linear interpolation between models, along the arc instead of the chord."""

import math
from functools import reduce
from typing import Any

import torch

from evoforge.errors import ConfigError
from evoforge.merge._reduce import dot, norm
from evoforge.merge.base import Part, TensorMerger
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range

# Vectors closer to parallel than this are interpolated along a straight line.
PARALLEL = 0.9995
EPSILON = 1e-8


class Slerp(TensorMerger):
    """Interpolation from the first source to the second, from there to the third, and so on.

    slerp(a, b, t) = sin((1 - t) theta) / sin(theta) a + sin(t theta) / sin(theta) b, where theta
    is the angle between the two tensors as vectors. With two sources this is the usual slerp; with
    more, each further source has a `t` of its own.

    Args:
        pool: the sources; the base takes no part.
        t: number or range in [0, 1]: 0 stays with what was merged so far, 1 is the source itself.
        granularity: `whole`, `block`, `layer` or `module`.
        block_size: layers to a group for `block`.

    Raises:
        ConfigError: an option makes no sense, or there is one source only.

    Reference:
        Shoemake 1985, Animating Rotation with Quaternion Curves.
    """

    needs_base = False

    def __init__(
        self,
        pool: Pool,
        *,
        t: Any = 0.5,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        if len(pool.sources) < 2:
            raise ConfigError(
                f"slerp merges two sources or more, got {pool.sources[0].name} alone; "
                "add a source to models.sources"
            )
        super().__init__(
            pool,
            ranges={"t": Range.parse("t", t, low=0, high=1)},
            options={},
            granularity=granularity,
            block_size=block_size,
        )

    @property
    def searched(self) -> tuple[str, ...]:
        """Every source but the first, which is where the path begins."""
        return super().searched[1:]

    @property
    def _always(self) -> tuple[str, ...]:
        return (self.pool.sources[0].name,)

    def merge(self, part: Part) -> torch.Tensor:
        """Return one tensor interpolated over all sources."""
        steps = zip(part.tensors[1:], part.values[1:], strict=True)
        return reduce(lambda far, step: slerp(far, step[0], step[1]["t"]), steps, part.tensors[0])


def slerp(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    """Return the point at `t` in [0, 1] on the arc between two tensors taken as vectors."""
    # Ends exactly: cos and arccos would round.
    if t in (0.0, 1.0):
        return (second if t else first).clone()
    lengths = norm(first), norm(second)
    if min(lengths) <= EPSILON:
        return torch.lerp(first, second, t)
    cosine = dot(first, second) / (lengths[0] * lengths[1])
    if abs(cosine) > PARALLEL:
        return torch.lerp(first, second, t)
    theta = math.acos(cosine)
    mine, other = math.sin((1 - t) * theta), math.sin(t * theta)
    return (first * (mine / math.sin(theta))).add_(second, alpha=other / math.sin(theta))
