"""Along what a merger's numbers vary: groups of tensors, or points along the depth of the model."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from evoforge.errors import ConfigError
from evoforge.models.layout import Granularity, groups, num_blocks


class Axes:
    """The groups of tensors that share their numbers, and the points that have genes.

    For most granularities these are the same. A `profile` has a group for each layer and a point
    every so many layers; between two points a layer's numbers are interpolated linearly, so a few
    genes make a course along the depth. Outside the blocks each module is a group of its own.

    Args:
        names: the tensors' names in the checkpoint.
        granularity: `whole`, `block`, `layer`, `module`, `tensor` or `profile`.
        block_size: layers to a group for `block`; for `profile` at most so many from point to
            point.

    Raises:
        ConfigError: the granularity is unknown, or the block size does not fit.
    """

    def __init__(self, names: Sequence[str], granularity: Granularity, block_size: int) -> None:
        smooth = granularity == "profile"
        self.granularity: Granularity = "layer" if smooth else granularity
        self.groups = groups(names, self.granularity, block_size)
        self._points = {group: {group: 1.0} for group in self.groups}
        if smooth:
            self._points |= _profile(num_blocks(names), block_size)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the points that have genes, from the embeddings to the output."""
        found = dict.fromkeys(p for group in self.groups for p in self._points[group])
        return tuple(found)

    def points(self, group: str) -> Mapping[str, float]:
        """Return the points that a group's numbers come from, each with its share."""
        return self._points[group]

    def fit(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Return the numbers at the points that come nearest to those of the groups.

        Args:
            numbers: of each group.
        """
        smooth = [group for group, points in self._points.items() if group not in points]
        found = {group: number for group, number in numbers.items() if group not in smooth}
        if not smooth:
            return found
        points = list(dict.fromkeys(p for group in smooth for p in self._points[group]))
        shares = [[self._points[group].get(point, 0.0) for point in points] for group in smooth]
        wanted = np.array([numbers[group] for group in smooth])
        best = np.linalg.lstsq(np.array(shares), wanted, rcond=None)[0]
        return found | dict(zip(points, best.tolist(), strict=True))


def _profile(layers: int, step: int) -> dict[str, dict[str, float]]:
    """Return the points of each layer's group: evenly spaced, one at each end."""
    if layers < 2:
        raise ConfigError("a profile needs two layers or more; set merge.granularity")
    if not 1 <= step < layers:
        raise ConfigError(
            f"block_size must be in [1, {layers - 1}] from point to point of a profile, got "
            f"{step}; set merge.block_size"
        )
    last = math.ceil((layers - 1) / step)
    found = {}
    for layer in range(layers):
        along = layer * last / (layers - 1)
        below = min(int(along), last - 1)
        shares = {f"depth{below}": 1 - (along - below), f"depth{below + 1}": along - below}
        found[f"layer{layer}"] = {point: share for point, share in shares.items() if share > 0}
    return found
