"""The picture of a path through layers (`path.png`): hops to the right, a lane for each source.

Knows hops and numbers of layers; does not read records.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from evoforge.path import Hop
from evoforge.report import figure as fig
from evoforge.report.route import counts, scaled, scaling, shares

LANE = "#F4F5F7"
BEHIND: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 1.2}
# Inches: of a layer, between lanes (the name stands there), and around all lanes.
LAYER = (0.048, 0.2)
GAP, LEFT, RIGHT, TOP, BOTTOM = 0.36, 0.5, 0.2, 0.62, 0.46
BAR = 0.72
# A picture of more hops grows wider, so that the dots stay apart.
WIDTH, WIDEST, EASY = 8.6, 14.0, 90
# Up to so many hops there is room for the scale beside each dot.
NUMBERED = 20
LONGEST_SUBTITLE = 112


@dataclass(frozen=True)
class Lane:
    """The strip of one source.

    Args:
        source: its name.
        layers: how many it has.
        bottom: inches above the axes' origin.
        height: inches.
    """

    source: str
    layers: int
    bottom: float
    height: float

    def y(self, layer: float) -> float:
        """Return the height of a layer."""
        return self.bottom + (layer + 0.5) * self.height / self.layers


def draw(path: Sequence[Hop], layers: Mapping[str, int], file: Path) -> Path:
    """Draw a path into a file.

    Raises:
        JournalError: the file cannot be written.
    """
    return fig.save(picture(path, layers), file)


def picture(path: Sequence[Hop], layers: Mapping[str, int]) -> Figure:
    """Return the picture of a path.

    Args:
        path: at least one hop.
        layers: the number of layers of each source, the first lane at the top.
    """
    lanes = _lanes(layers)
    high = sum(lane.height + GAP for lane in lanes.values())
    with_scales = scaled(path)
    width = WIDTH * min(max(1.0, len(path) / EASY), WIDEST / WIDTH)
    wide = width - LEFT - (BAR + 0.2 if with_scales else RIGHT)
    figure = fig.blank(width, TOP + high + BOTTOM)
    axes = fig.place(figure, LEFT, TOP, wide, high)
    axes.set_ylim(0, high)
    # Half a hop of air at least, however few or many there are.
    axes.set_xlim(0.5 - 0.01 * len(path), len(path) + 0.5 + 0.01 * len(path))
    _draw_lanes(axes, lanes, path)
    x, y = np.arange(1, len(path) + 1), np.array([lanes[h.source].y(h.layer) for h in path])
    _draw_line(axes, path, x, y)
    size = float(np.clip(0.82 * 72 * wide / len(path), 2.4, 9.5))
    if with_scales:
        image = _draw_scales(axes, path, x, y, size)
        bar = fig.place(figure, width - BAR, TOP + GAP, 0.1, high - GAP)
        negative = any(hop.scale < 0 for hop in path)
        fig.colour_bar(bar, image, "size of the scale" if negative else "scale")
        bar.set_ylim(bottom=max(0.0, bar.get_ylim()[0]))  # no size is below 0
        if negative:
            _name_marks(figure)
    else:
        inks = [fig.colour(list(lanes).index(hop.source)) for hop in path]
        axes.scatter(x, y, s=size**2, c=inks, linewidths=0, zorder=4, clip_on=False)
    fig.heading(figure, "The winner's path through the layers", _subtitle(path))
    return figure


def _lanes(layers: Mapping[str, int]) -> dict[str, Lane]:
    """Return a lane for each source, from the top down; all layers are equally high if they can."""
    unit = float(np.clip(3.7 / sum(layers.values()), *LAYER))
    found, bottom = {}, 0.0
    for source, count in reversed(list(layers.items())):
        height = max(0.34, unit * count)
        found[source] = Lane(source, count, bottom, height)
        bottom += height + GAP
    return {source: found[source] for source in layers}


def _subtitle(path: Sequence[Hop]) -> str:
    each = [f"{fig.clean(source, 20)} {share}" for source, share in shares(path).items()]
    parts = [counts(path), ", ".join(each), scaling(path)]
    whole = "; ".join(parts)
    return whole if len(whole) <= LONGEST_SUBTITLE else "; ".join([parts[0], parts[2]])


def _draw_lanes(axes: Axes, lanes: Mapping[str, Lane], path: Sequence[Hop]) -> None:
    fig.style(axes)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks(_hop_ticks(len(path)))
    axes.set_xlabel("hop", color=fig.INK, size=9)
    left, right = axes.get_xlim()
    places: list[float] = []
    names: list[str] = []
    share = shares(path)
    for lane in lanes.values():
        box = (left, lane.bottom), right - left, lane.height
        axes.add_patch(Rectangle(*box, color=LANE, linewidth=0, zorder=0))
        shown = _ticks(lane)
        axes.hlines([lane.y(layer) for layer in shown], left, right, color=fig.GRID, lw=0.7)
        places += [lane.y(layer) for layer in shown]
        names += [str(layer) for layer in shown]
        place = left, lane.bottom + lane.height + 0.05
        name = fig.write(axes, *place, fig.clean(lane.source), va="bottom", weight="bold")
        # Lines that change lanes pass behind the names.
        name.set_bbox(BEHIND)
        used = sum(hop.source == lane.source for hop in path)
        said = f"{used} of {len(path)} hops, {share[lane.source]}" if used else "not in the path"
        options: dict[str, Any] = {"xycoords": name, "textcoords": "offset points"}
        options |= {"family": list(fig.fonts()), "size": 8.5, "color": fig.FAINT, "va": "bottom"}
        axes.annotate(said, (1, 0), (7, 0), **options, bbox=BEHIND)
    axes.set_yticks(places, labels=names)
    axes.set_ylabel("layer", color=fig.INK, size=9)
    axes.yaxis.set_label_coords(-0.33 / (fig.inches(axes)[0]), 0.5)


def _hop_ticks(count: int) -> list[int]:
    """Return the hops to number: the first, and round ones."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 1000) if count <= 14 * s)
    return [1, *range(max(step, 2), count + 1, step)]


def _ticks(lane: Lane) -> list[int]:
    """Return the layers to name: round numbers that keep apart, and the last one."""
    room = max(1, int(lane.height / 0.17))
    step = next(s for s in (1, 2, 4, 5, 8, 10, 20, 50, 100, 1000) if lane.layers <= s * room)
    last = lane.layers - 1
    return [layer for layer in range(0, last, step) if last - layer >= 0.75 * step] + [last]


def _draw_line(axes: Axes, path: Sequence[Hop], x: Any, y: Any) -> None:
    """Join the hops; on the way to another source the line is thin."""
    points = np.stack([x, y], axis=1)
    pairs = np.stack([points[:-1], points[1:]], axis=1)
    stays = np.array([a.source == b.source for a, b in pairwise(path)], dtype=bool)
    for kept, ink, width in ((stays, fig.FAINT, 1.5), (~stays, "#9AA5B1", 0.9)):
        axes.add_collection(LineCollection(pairs[kept], colors=ink, linewidths=width, zorder=2))


def _draw_scales(axes: Axes, path: Sequence[Hop], x: Any, y: Any, size: float) -> Any:
    """Draw a dot for each hop in the colour of its scale's size; a negative one is a triangle."""
    scales = np.array([hop.scale for hop in path])
    reach = max(0.05, float(np.abs(np.abs(scales) - 1).max()))
    colours: dict[str, Any] = {"cmap": fig.DIVERGING, "norm": CenteredNorm(1.0, reach)}
    drawn = []
    for chosen, marker, larger in ((scales >= 0, "o", 1.0), (scales < 0, "v", 1.3)):
        options: dict[str, Any] = {"c": np.abs(scales[chosen]), "s": (larger * size) ** 2}
        options |= {"edgecolors": fig.INK, "linewidths": min(0.9, 0.11 * size) * larger}
        options |= {"zorder": 4, "clip_on": False}
        drawn.append(axes.scatter(x[chosen], y[chosen], marker=marker, **options, **colours))
    if len(path) <= NUMBERED:
        for hop, left, top in zip(path, x, y, strict=True):
            _number(axes, hop.scale, (left, top), 0.5 * size + 2.5)
    return drawn[0]


def _number(axes: Axes, scale: float, place: tuple[float, float], above: float) -> None:
    """Write a scale above its dot; `above` in points."""
    options: dict[str, Any] = {"ha": "center", "zorder": 5, "family": list(fig.fonts())}
    options |= {"size": 8, "color": fig.INK}
    options["path_effects"] = [withStroke(linewidth=2.2, foreground=LANE)]
    shown = f"{scale:.3g}".replace("-", "−")
    axes.annotate(shown, place, (0, above), textcoords="offset points", **options)


def _name_marks(figure: Figure) -> None:
    """Say at the top right what a triangle is."""
    wide, y = figure.get_figwidth(), 1 - 0.23 / figure.get_figheight()
    mark: dict[str, Any] = {"marker": "v", "markersize": 6.5, "color": "white", "mec": fig.INK}
    figure.add_artist(Line2D([1 - 1.32 / wide], [y], **mark))
    fig.write(figure, 1 - 1.2 / wide, y, "negative scale", va="center_baseline", size=8.5)
