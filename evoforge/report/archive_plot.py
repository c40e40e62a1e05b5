"""The picture of archives (`archive.png`): a grid for each, with the quality of who is in a cell.

Reads what an optimizer said of itself after its last generation; does not know optimizers.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from evoforge.record import WINNER, Record
from evoforge.report import figure as fig

SIDE = 3.4
TOP, BOTTOM, LEFT, GAP, BAR = 1.0, 0.6, 0.75, 1.75, 0.12
# More archives than this do not fit a picture.
MAX_PANELS = 6
ACROSS = 3


def archives(record: Record) -> tuple[str, list[dict[str, Any]]] | None:
    """Return the last search with archives and these; None if there is none.

    Each is a mapping of `quality` (the name), `axes` (`name`, `low`, `high`), `bins`, `coverage`,
    and `cells`: `[cell, value, number]`, the number of a candidate in the order asked.
    """
    for stage in reversed(record.stages()):
        for state in reversed(record.states(stage).values()):
            if state.get("archives"):
                return stage, list(state["archives"])
    return None


def draw(record: Record) -> Path | None:
    """Draw `archive.png` into the run folder; None if the run has no archive.

    Raises:
        JournalError: the folder cannot be written.
    """
    found = archives(record)
    if found is None:
        return None
    stage, every = found
    shown = every[:MAX_PANELS]
    columns = min(len(shown), ACROSS)
    rows = -(-len(shown) // columns)
    step = SIDE + BOTTOM + 0.35
    figure = fig.blank(LEFT + columns * (SIDE + GAP), TOP + rows * step)
    won = _winner(record, stage)
    for panel, archive in enumerate(shown):
        left = LEFT + panel % columns * (SIDE + GAP)
        top = TOP + panel // columns * step
        axes = fig.place(figure, left, top, SIDE, SIDE)
        bar = fig.place(figure, left + SIDE + 0.12, top, BAR, SIDE)
        _panel(axes, bar, archive, won)
    coverage = np.mean([archive["coverage"] for archive in every])
    more = f"; {len(every) - len(shown)} more archives" if len(every) > len(shown) else ""
    said = f"{100 * coverage:.0f} % of the cells are held{more}; the ring marks the winner"
    title = "The archive" if len(every) == 1 else "The archives"
    fig.heading(figure, f"{title}: the best model of each kind", said)
    return fig.save(figure, record.folder / "archive.png")


def _winner(record: Record, stage: str) -> set[int]:
    """Return the numbers of the winner among a search's candidates, in the order asked."""
    recipes = {
        record.evaluation(n).recipe for (role, _), n in record.roles().items() if role == WINNER
    }
    asked = [c.recipe for c in record.candidates(genomes=False) if c.stage == stage]
    return {number for number, recipe in enumerate(asked) if recipe in recipes}


def _panel(axes: Axes, bar: Axes, archive: Mapping[str, Any], won: set[int]) -> None:
    """Draw one archive: its first axis to the right, the second upwards, or quality if alone."""
    title = f"best {fig.clean(archive['quality'])} of each kind"
    if len(archive["axes"]) > 2:
        title += " (best over the other axes)"
    options = {"transform": axes.transAxes, "weight": "bold", "size": 9.5, "va": "bottom"}
    fig.write(axes, 0.0, 1.025, title, **options)
    if len(archive["axes"]) == 1:
        rings = _bars(axes, archive, won)
        bar.set_axis_off()
    else:
        rings = _cells(axes, bar, archive, won)
    axes.scatter(
        [x for x, _ in rings],
        [y for _, y in rings],
        s=70,
        facecolors="none",
        edgecolors=fig.PALETTE[1],
        linewidths=1.8,
        zorder=4,
        clip_on=False,
    )
    _scale(axes, archive["axes"][:2], archive["bins"])


def _bars(axes: Axes, archive: Mapping[str, Any], won: set[int]) -> list[tuple[float, float]]:
    """Draw an archive along one axis; return where the winner is."""
    fig.style(axes)
    places = [cell[0] + 0.5 for cell, _, _ in archive["cells"]]
    values = [value for _, value, _ in archive["cells"]]
    low, high = min([0.0, *values]), max([0.0, *values])
    room = 0.15 * ((high - low) or 1.0)
    # With an edge, so that a cell that is held by a model worth nothing is not an empty one.
    blue = fig.PALETTE[0]
    axes.bar(places, values, 0.86, color=blue, edgecolor=blue, linewidth=3, clip_on=False)
    axes.set_ylim(low - room if low < 0 else 0, high + room)
    axes.set_xlim(0, archive["bins"])
    fig.ticks(axes.yaxis, 5)
    axes.set_ylabel(fig.clean(archive["quality"]), color=fig.INK, size=9)
    return [(cell[0] + 0.5, value) for cell, value, number in archive["cells"] if number in won]


def _cells(
    axes: Axes, bar: Axes, archive: Mapping[str, Any], won: set[int]
) -> list[tuple[float, float]]:
    """Draw an archive as a grid of colours; return where the winner is."""
    fig.plain(axes)
    axes.set_facecolor("#F2F4F6")
    bins = archive["bins"]
    grid = np.full((bins, bins), np.nan)
    for (x, y, *_), value, _ in archive["cells"]:
        grid[y, x] = np.fmax(grid[y, x], value)
    edges = np.linspace(0, bins, bins + 1)
    image = axes.pcolormesh(
        edges, edges, grid, cmap=fig.SEQUENTIAL, edgecolors="white", linewidth=0.8
    )
    fig.colour_bar(bar, image, archive["quality"])
    return [(x + 0.5, y + 0.5) for (x, y, *_), _, number in archive["cells"] if number in won]


def _scale(axes: Axes, names: Sequence[Mapping[str, Any]], bins: int) -> None:
    """Say at some edges of cells what values they stand for."""
    places = np.linspace(0, bins, 6 if bins % 5 == 0 else 3)
    for axis, shown in zip((axes.xaxis, axes.yaxis), names, strict=False):
        low, high = shown["low"], shown["high"]
        values = low + (high - low) * places / bins
        axis.set_ticks(places, [f"{value:.3g}" for value in values])
        axis.set_label_text(fig.clean(shown["name"]), color=fig.INK, size=9)
