"""The picture of a front (`front.png`): what the search tried, and the members by name.

Draws what `evoforge.report.front` finds; two goals are a plane, more are one plane for each beside
the first.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from evoforge.record import Record
from evoforge.report import figure as fig
from evoforge.report.front import BEST, Front, front, searched

TRIED = "#B4C2D0"
ON = fig.PALETTE[0]
WON = fig.PALETTE[1]
SIDE = 4.1
TOP, BOTTOM, LEFT, GAP = 0.8, 0.75, 0.75, 0.8


def draw(record: Record) -> Path | None:
    """Draw `front.png` into the run folder; None if the run has no front.

    Raises:
        JournalError: the folder cannot be written.
    """
    found = front(record)
    if found is None:
        return None
    first, *others = found.objectives
    told = np.array([*searched(record, found.stage, tuple(found.objectives)).values()])
    told = told.reshape(-1, len(found.objectives))
    width = LEFT + len(others) * (SIDE + GAP)
    figure = fig.blank(max(width, 6.4), TOP + SIDE + BOTTOM)
    for panel, name in enumerate(others):
        axes = fig.place(figure, LEFT + panel * (SIDE + GAP), TOP, SIDE, SIDE)
        _panel(axes, found, told, (name, first))
    directions = ", ".join(f"{fig.clean(n)} {way}" for n, way in found.objectives.items())
    said = f"goals: {directions}; grey: all that was tried, on search items"
    fig.heading(figure, "The front: nothing found is better in every goal", said)
    fig.footnote(figure, "members: means over the select items")
    return fig.save(figure, record.folder / "front.png")


def _panel(axes: Axes, found: Front, told: np.ndarray, names: Sequence[str]) -> None:
    """Draw one plane: the first of two goals to the right, the other upwards."""
    fig.style(axes)
    columns = [list(found.objectives).index(name) for name in names]
    axes.scatter(
        told[:, columns[0]], told[:, columns[1]], s=12, color=TRIED, linewidths=0, zorder=2
    )
    points = np.array([[member.values[name] for name in names] for member in found.members])
    on = np.array([member.names[-1].startswith("front-") for member in found.members])
    won = np.array([BEST in member.names for member in found.members])
    if len(found.objectives) == 2 and on.any():
        line = points[on][np.argsort(points[on][:, 0])]
        axes.plot(*line.T, color=ON, linewidth=1.2, zorder=3)
    axes.scatter(
        points[~won, 0], points[~won, 1], s=42, color=ON, edgecolors="white", linewidths=1, zorder=4
    )
    axes.scatter(
        points[won, 0],
        points[won, 1],
        s=62,
        marker="D",
        color=WON,
        edgecolors="white",
        linewidths=1,
        zorder=5,
    )
    _labels(axes, found, points)
    for axis, name, shown in zip((axes.xaxis, axes.yaxis), names, points.T, strict=True):
        fig.ticks(axis, 5)
        unit = ""
        both = np.concatenate([shown, told[:, list(found.objectives).index(name)]])
        if name not in ("tokens", "hops") and ((both >= 0) & (both <= 1)).all():
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
            unit = ", percent"
        better = "more" if found.objectives[name] == "max" else "less"
        axis.set_label_text(f"{fig.clean(name)}{unit} ({better} is better)", color=fig.INK, size=9)


def _labels(axes: Axes, found: Front, points: np.ndarray) -> None:
    """Name the members right of their points, kept clear of each other."""
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    axes.set_xlim(left, right + 0.28 * (right - left))  # room for names
    axes.set_ylim(low, high)
    gap = 0.042 * (high - low)
    heights = fig.spread(points[:, 1].tolist(), gap, low + gap, high - gap)
    step = 0.02 * (right - left)
    for member, (x, y), height in zip(found.members, points, heights, strict=True):
        # Its number says where it is in the table; the names that mean something come first.
        said = ", ".join(member.names[:-1] or member.names)
        axes.plot([x, x + step], [y, height], color=fig.FAINT, linewidth=0.6, zorder=3)
        ink = WON if BEST in member.names else fig.INK
        options = {"size": 7.5, "color": ink, "va": "center_baseline"}
        fig.write(axes, x + 1.3 * step, height, fig.clean(said, 40), zorder=6, **options)
