"""The scales of all pairs of layers as matrices: from the layer before, to the layer after.

Knows courses; does not read records.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from evoforge.path import Hop
from evoforge.report import figure as fig
from evoforge.report.course import Course
from evoforge.report.history import Floats

PAIR = re.compile(r"(?P<before>.+)_layer(?P<i>[0-9]+)\.(?P<after>.+)\.to_layer(?P<j>[0-9]+)")
# Inches: a matrix, what stands to its left, its colour bar, above and below it.
SIDE, LEFT, BAR, ABOVE, BELOW = 2.7, 0.62, 0.75, 0.52, 0.5
FADED = 0.4
MOST = 99.8  # percent; a few far genes would make all others grey
Layer = tuple[str, int]


@dataclass(frozen=True)
class Pairs:
    """The genes of all ordered pairs of layers.

    Args:
        layers: source and number of every layer, in order.
        index: (layers, layers) positions of the genes, -1 where there is none.
    """

    layers: tuple[Layer, ...]
    index: NDArray[np.intp]


def pairs(course: Course) -> Pairs | None:
    """Return the pairs of a stage, None if it has none."""
    found: dict[tuple[Layer, Layer], int] = {}
    for position, name in enumerate(course.names):
        match = PAIR.fullmatch(name)
        if match:
            before, after = match["before"], match["after"]
            found[(before, int(match["i"])), (after, int(match["j"]))] = position
    if not found:
        return None
    layers = tuple(dict.fromkeys(layer for pair in found for layer in pair))
    place = {layer: number for number, layer in enumerate(layers)}
    index = np.full((len(layers), len(layers)), -1, dtype=np.intp)
    for (before, after), position in found.items():
        index[place[before], place[after]] = position
    return Pairs(layers, index)


def height() -> float:
    """Return the inches that the matrices take."""
    return ABOVE + SIDE + BELOW


def place(figure: Figure, top: float, course: Course, found: Pairs) -> None:
    """Draw the matrices into a figure, `top` inches below its upper edge."""
    last = f"mean of generation {course.generations[-1]}"
    fig.section(
        figure, top, "Scales from layer to layer", "down: the layer before; across: the layer after"
    )
    shown = [(last, course.means[-1])]
    if course.marked is not None:
        shown.append(("winner, its hops circled", course.marked))
    for number, (label, numbers) in enumerate(shown):
        left = LEFT + number * (SIDE + BAR + LEFT - 0.1)
        axes = fig.place(figure, left, top + ABOVE, SIDE, SIDE)
        fig.write(axes, 0, 1.02, label, transform=axes.transAxes, va="bottom", size=8.5)
        used = _used(found, course.path) if number else []
        image = _matrix(axes, course, found, numbers, used)
        _circles(axes, found, used)
        bar = fig.place(figure, left + SIDE + 0.1, top + ABOVE, 0.1, SIDE)
        fig.colour_bar(bar, image, "scale")


def _used(found: Pairs, path: Sequence[Hop]) -> list[tuple[int, int]]:
    """Return the cells of a path's neighbours: all other scales have no effect on it."""
    place = {layer: number for number, layer in enumerate(found.layers)}
    layers = [(hop.source, hop.layer) for hop in path]
    return [(place[a], place[b]) for a, b in pairwise(layers) if a in place and b in place]


def _matrix(
    axes: Axes, course: Course, found: Pairs, numbers: Floats, used: Sequence[tuple[int, int]]
) -> AxesImage:
    matrix = np.where(found.index >= 0, numbers[found.index], np.nan)
    shown = np.full(matrix.shape, FADED if used else 1.0)
    for cell in used:
        shown[cell] = 1.0
    colours = _colours(course, found.index[found.index >= 0], numbers)
    image = axes.imshow(matrix, interpolation="nearest", alpha=shown, **colours)
    fig.plain(axes)
    borders, middles, names = _sources(found.layers)
    for border in borders:
        axes.axhline(border, color="white", linewidth=1.6)
        axes.axvline(border, color="white", linewidth=1.6)
    options: dict[str, Any] = {"family": list(fig.fonts()), "size": 8}
    limit = max(5, 26 // len(names))
    labels = [fig.clean(name, limit) for name in names]
    axes.set_xticks(middles, labels=labels, **options)
    axes.set_yticks(middles, labels=labels, rotation=90, va="center", **options)
    return image


def _colours(course: Course, used: NDArray[np.intp], numbers: Floats) -> dict[str, Any]:
    low, high = float(course.low[used].min()), float(course.high[used].max())
    if not low < 1 < high:
        return {"cmap": fig.SEQUENTIAL, "norm": Normalize(low, high)}
    far = float(np.percentile(np.abs(numbers[used] - 1), MOST))
    return {"cmap": fig.DIVERGING, "norm": CenteredNorm(1, max(0.02, far))}


def _sources(layers: Sequence[Layer]) -> tuple[list[float], list[float], list[str]]:
    """Return where one source ends and the next begins, the middle of each, and its name."""
    names = list(dict.fromkeys(source for source, _ in layers))
    counts = [sum(source == name for source, _ in layers) for name in names]
    ends = np.cumsum(counts) - 0.5
    middles = ends - np.array(counts) / 2
    return ends[:-1].tolist(), middles.tolist(), names


def _circles(axes: Axes, found: Pairs, used: Sequence[tuple[int, int]]) -> None:
    if not used:
        return
    rows, columns = np.array(used).T
    size = float(np.clip((72 * SIDE / len(found.layers)) * 1.7, 3.5, 9)) ** 2
    ring: dict[str, Any] = {"facecolors": "none", "edgecolors": fig.INK, "linewidths": 0.8}
    axes.scatter(columns, rows, s=size, clip_on=False, **ring)
