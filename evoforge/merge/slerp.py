"""Spherical linear interpolation between models, along the arc instead of the chord."""

from functools import reduce
from typing import Any

from evoforge.merge._sphere import Gram, Shares, Spherical, arc, unit
from evoforge.merge.base import Whole
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range

# Vectors closer to parallel than this are interpolated along a straight line.
PARALLEL = 0.9995


class Slerp(Spherical):
    """Interpolation from the first source to the second, from there to the third, and so on.

    slerp(a, b, t) = sin((1 - t) theta) / sin(theta) a + sin(t theta) / sin(theta) b, where theta
    is the angle between the two tensors as vectors. With two sources this is the usual slerp; with
    more, each further source has a `t` of its own.

    Args:
        pool: the sources, two at least; the base takes no part.
        t: number or range in [0, 1]: 0 stays with what was merged so far, 1 is the source itself.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, or there is one source only.

    Reference:
        Shoemake 1985, Animating Rotation with Quaternion Curves.
    """

    needs_base = False
    least = 2
    from_first = True

    def __init__(
        self,
        pool: Pool,
        *,
        t: Any = 0.5,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        super().__init__(
            pool,
            ranges={"t": Range.parse("t", t, low=0, high=1)},
            options={},
            granularity=granularity,
            block_size=block_size,
        )

    def shares(self, whole: Whole, gram: Gram) -> Shares:
        """Return the shares of the point that all steps lead to."""
        steps = [(unit(gram, i), v["t"]) for i, v in enumerate(whole.values) if i > 0]
        return reduce(
            lambda far, step: arc(gram, far, step[0], step[1], PARALLEL), steps, unit(gram, 0)
        )
