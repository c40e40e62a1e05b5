"""The genes of a path's slots: passes and layers at several generations, and of the winner.

Knows courses; does not read records, and does not know how a path is made of its slots.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from evoforge.report import figure as fig
from evoforge.report.course import INSIDE, SCALE, SLOT, Course
from evoforge.report.history import Floats, parse

SNAPSHOTS = 5
# Inches: around the maps, above them (a title and the sources' names), and of a pass.
LEFT, RIGHT, ABOVE, BELOW = 1.2, 0.95, 0.52, 0.46
PASS, LEAST, GAP, BETWEEN = 0.13, 0.22, 0.08, 0.16
CELL = 0.09  # narrower ones have no room for lines between them
TITLES = {
    INSIDE: ("Slots in the path", "share of the generation"),
    SCALE: ("Scales of the slots", "mean over those with the slot in the path"),
}


@dataclass(frozen=True)
class Slots:
    """One parameter of all slots.

    Args:
        parameter: its name.
        index: source -> (passes, layers) positions of the genes, -1 where there is none.
    """

    parameter: str
    index: Mapping[str, NDArray[np.intp]]

    @property
    def passes(self) -> int:
        """How often the layers are laid out."""
        return max(len(rows) for rows in self.index.values())


def slots(course: Course) -> list[Slots]:
    """Return the parameters of a stage that every slot has."""
    places: dict[str, dict[str, dict[tuple[int, int], int]]] = {}
    for position, name in enumerate(course.names):
        group, source, parameter = parse(name)
        match = SLOT.fullmatch(group)
        if match:
            cell = int(match[1]), int(match[2])
            places.setdefault(parameter, {}).setdefault(source, {})[cell] = position
    return [
        Slots(parameter, {source: _grid(cells) for source, cells in found.items()})
        for parameter, found in places.items()
    ]


def _grid(cells: Mapping[tuple[int, int], int]) -> NDArray[np.intp]:
    shape = max(p for p, _ in cells) + 1, max(layer for _, layer in cells) + 1
    grid = np.full(shape, -1, dtype=np.intp)
    for cell, position in cells.items():
        grid[cell] = position
    return grid


def height(course: Course, found: Slots) -> float:
    """Return the inches that one parameter takes."""
    rows = len(_snapshots(course)) + (course.marked is not None)
    return ABOVE + rows * (_high(found) + GAP) + BELOW


def _high(found: Slots) -> float:
    return max(LEAST, PASS * found.passes)


def _snapshots(course: Course) -> list[int]:
    """Return the generations to show: the first, the last, and some evenly between."""
    last = len(course.generations) - 1
    return sorted({round(last * step / (SNAPSHOTS - 1)) for step in range(SNAPSHOTS)})


def place(figure: Figure, top: float, course: Course, found: Slots) -> None:
    """Draw one parameter into a figure, `top` inches below its upper edge."""
    rows = [(f"generation {course.generations[i]}", course.means[i]) for i in _snapshots(course)]
    if course.marked is not None:
        rows.append(("winner", course.marked))
    title = TITLES.get(found.parameter, (fig.clean(found.parameter), "mean of the generation"))
    fig.section(figure, top, *title)
    colours = _colours(course, found, [numbers for _, numbers in rows])
    high, begin = _high(found), top + ABOVE
    step = high + GAP
    for number, (label, numbers) in enumerate(rows):
        y = begin + number * step
        cells = _row(figure, y, found, numbers, colours)
        where = (LEFT - 0.1) / figure.get_figwidth(), 1 - (y + high / 2) / figure.get_figheight()
        weight = "bold" if label == "winner" else "normal"
        fig.write(figure, *where, label, ha="right", va="center", size=8.5, weight=weight)
        for source, (axes, _) in cells.items():
            axes.tick_params(labelbottom=number == len(rows) - 1)
            if number == 0:
                name = fig.clean(source, max(6, int(11 * fig.inches(axes)[0])))
                above = {"transform": axes.transAxes, "va": "bottom", "size": 8.5}
                fig.write(axes, 0, 1 + 0.05 / high, name, **above)
    axes, image = next(iter(cells.values()))
    axes.set_xlabel("layer", color=fig.INK, size=8.5, loc="left", labelpad=1)
    bar = fig.place(figure, figure.get_figwidth() - 0.72, begin, 0.1, len(rows) * step - GAP)
    fig.colour_bar(bar, image, "share" if found.parameter == INSIDE else found.parameter)


def _row(
    figure: Figure, top: float, found: Slots, numbers: Floats, colours: Mapping[str, Any]
) -> dict[str, tuple[Axes, AxesImage]]:
    """Draw one snapshot: a map of passes and layers for each source, side by side."""
    count = sum(grid.shape[1] for grid in found.index.values())
    room = figure.get_figwidth() - LEFT - RIGHT - BETWEEN * (len(found.index) - 1)
    left, cells = LEFT, {}
    for source, grid in found.index.items():
        wide = room * grid.shape[1] / count
        axes = fig.place(figure, left, top, wide, _high(found))
        shown = np.where(grid >= 0, numbers[grid], np.nan)
        image = axes.imshow(shown, aspect="auto", interpolation="nearest", **colours)
        axes.set_facecolor("white")
        fig.plain(axes)
        if wide / grid.shape[1] > CELL:
            _separate(axes, grid.shape)
        axes.set_yticks([])
        fig.ticks(axes.xaxis, int(np.clip(grid.shape[1] - 1, 1, 8)), integer=True)
        cells[source] = axes, image
        left += wide + BETWEEN
    return cells


def _separate(axes: Axes, shape: tuple[int, ...]) -> None:
    """Draw white lines between the cells."""
    passes, layers = shape
    axes.vlines(np.arange(layers - 1) + 0.5, -0.5, passes - 0.5, color="white", linewidth=0.8)
    axes.hlines(np.arange(passes - 1) + 0.5, -0.5, layers - 0.5, color="white", linewidth=0.8)


def _colours(course: Course, found: Slots, rows: list[Floats]) -> dict[str, Any]:
    """Return the colour map: shares from 0 to 1, scales about 1, all else over its range."""
    if found.parameter == INSIDE:
        return {"cmap": fig.SHARE, "norm": Normalize(0, 1)}
    used = np.concatenate([grid[grid >= 0] for grid in found.index.values()])
    low, high = float(course.low[used].min()), float(course.high[used].max())
    if low < 1 < high:
        far = np.nan_to_num(np.abs(np.array(rows)[:, used] - 1))
        return {"cmap": fig.DIVERGING, "norm": CenteredNorm(1, max(0.02, float(far.max())))}
    return {"cmap": fig.SEQUENTIAL, "norm": Normalize(low, high)}
