"""Many genes at once: a heat map of groups over evaluations for each source and parameter.

Knows courses and names; does not read records.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from evoforge.report import figure as fig
from evoforge.report.course import SCALE, Course
from evoforge.report.history import parse

MAX_BLOCKS = 12
MAX_TICKS = 12
# More rows than this cannot be told apart.
MAX_ROWS = 200
# Inches: around the blocks, above each row of them, and of a gene's row.
LEFT, RIGHT, ABOVE, BELOW, GENE = 0.85, 1.2, 0.32, 0.5, 0.16
BETWEEN, STRIP = 0.45, 0.14
# parameter -> source -> groups and positions of the genes
Blocks = dict[str, dict[str, list[tuple[str, int]]]]


def draw(course: Course) -> Figure:
    """Return the picture of a stage with many genes."""
    blocks = _blocks(course.names)
    top = 0.65
    figure = fig.blank(_width(blocks), top + height(course))
    place(figure, top, course)
    said = "colour: mean of a generation"
    said += "; right strip: the winner" if course.marked is not None else ""
    hidden = _hidden(blocks)
    said += f"; the {MAX_ROWS} genes of each map that moved most" if hidden else ""
    fig.heading(figure, title(course.names), said)
    return figure


def height(course: Course) -> float:
    """Return the inches that the heat maps of a stage take."""
    blocks = _blocks(course.names)
    return sum(ABOVE + _high(found, len(blocks)) for found in blocks.values()) + BELOW


def place(figure: Figure, top: float, course: Course) -> None:
    """Draw the heat maps into a figure, `top` inches below its upper edge."""
    blocks = _blocks(course.names)
    if "" in blocks and len({*zip(course.low, course.high, strict=True)}) > 1:
        # Genes of different kinds share a scale only as positions in their ranges.
        course = _positions(course)
    sources = list(dict.fromkeys(source for found in blocks.values() for source in found))
    room = figure.get_figwidth() - LEFT - RIGHT - BETWEEN * (len(sources) - 1)
    wide = room / len(sources)
    lowest: dict[str, Axes] = {}
    for parameter, found in blocks.items():
        top += ABOVE
        high = _high(found, len(blocks))
        colours = _colours(course, parameter, found)
        for source, genes in found.items():
            left = LEFT + sources.index(source) * (wide + BETWEEN)
            axes = fig.place(figure, left, top, wide, high)
            if source in lowest:
                lowest[source].tick_params(labelbottom=False)
            lowest[source] = axes
            image = _block(axes, course, genes, colours, named=source == next(iter(found)))
            label = fig.clean(f"{parameter}, {source}" if source else parameter, 30)
            style = {"transform": axes.transAxes, "va": "bottom", "weight": "bold"}
            fig.write(axes, 0.0, 1 + 0.05 / high, label, **style)
        bar = fig.place(figure, figure.get_figwidth() - 0.72, top, 0.1, high)
        fig.colour_bar(bar, image, parameter or _meaning(course))
        top += high
    for axes in lowest.values():
        axes.set_xlabel("evaluations", color=fig.INK, size=8.5)


def _colours(
    course: Course, parameter: str, found: Mapping[str, list[tuple[str, int]]]
) -> dict[str, Any]:
    """Return the colours of a row of blocks: about 1 for a scale, about 0 where 0 is the middle."""
    used = [index for genes in found.values() for _, index in genes]
    low, high = float(course.low[used].min()), float(course.high[used].max())
    norm = Normalize(low, high)
    if parameter == SCALE and low < 1 < high:
        return {"cmap": fig.DIVERGING, "norm": CenteredNorm(1, max(1 - low, high - 1))}
    return {"cmap": fig.DIVERGING if low == -high else fig.SEQUENTIAL, "norm": norm}


def _positions(course: Course) -> Course:
    width = course.high - course.low
    marked = None if course.marked is None else (course.marked - course.low) / width
    return replace(
        course,
        means=(course.means - course.low) / width,
        marked=marked,
        low=np.zeros_like(course.low),
        high=np.ones_like(course.high),
    )


def _meaning(course: Course) -> str:
    return "position in range" if (course.low == 0).all() and (course.high == 1).all() else "value"


def title(names: Sequence[str]) -> str:
    """Return a picture's heading; it names the parameter if there is but one."""
    parameters = {parse(name)[2] for name in names}
    only = f": {fig.clean(parameters.pop())}" if len(parameters) == 1 else ""
    return f"{heading(len(names))}{only}"


def heading(count: int) -> str:
    """Return the heading of a picture of so many genes."""
    return f"Where the search moved the {'gene' if count == 1 else f'{count:,} genes'}"


def _blocks(names: tuple[str, ...]) -> Blocks:
    """Return the genes by parameter and source; all in one block if there would be too many."""
    found: Blocks = {}
    for index, name in enumerate(names):
        group, source, parameter = parse(name)
        found.setdefault(parameter, {}).setdefault(source, []).append((group, index))
    if sum(len(sources) for sources in found.values()) > MAX_BLOCKS:
        plain = [".".join(filter(None, parse(name))) for name in names]
        return {"": {"": [(name, index) for index, name in enumerate(plain)]}}
    return found


def _width(blocks: Blocks) -> float:
    columns = len({source for found in blocks.values() for source in found})
    return max(6.4, LEFT + 2.3 * columns + BETWEEN * (columns - 1) + RIGHT)


def _high(found: dict[str, list[tuple[str, int]]], rows: int) -> float:
    """Return the height of a row of blocks: as its genes need, as long as they fit."""
    genes = max(map(len, found.values()))
    return min(max(GENE * genes, 0.3), 3.6 if rows == 1 else 2.4)


def _hidden(blocks: Blocks) -> bool:
    return any(len(genes) > MAX_ROWS for found in blocks.values() for genes in found.values())


def _moved(course: Course, genes: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return the genes to draw: all, or those that moved the furthest in their ranges, in order."""
    index = np.array([i for _, i in genes])
    way = np.abs(course.means[-1, index] - course.means[0, index])
    # A slot that nobody has in has no scale, and moved nowhere.
    way = np.nan_to_num(way / (course.high - course.low)[index])
    kept = np.sort(np.argsort(-way, kind="stable")[:MAX_ROWS])
    return [genes[i] for i in kept]


def _block(
    axes: Axes,
    course: Course,
    genes: list[tuple[str, int]],
    colours: Mapping[str, Any],
    *,
    named: bool,
) -> AxesImage:
    """Draw one source's genes of one parameter: groups downwards, evaluations to the right."""
    genes = _moved(course, genes)
    index = [i for _, i in genes]
    options = {**colours, "aspect": "auto", "interpolation": "nearest"}
    extent = (course.span[0] - 0.5, course.span[1] + 0.5, len(genes) - 0.5, -0.5)
    image = axes.imshow(course.means[:, index].T, extent=extent, **options)
    fig.plain(axes)
    fig.ticks(axes.xaxis, 5, integer=True)
    step = -(-len(genes) // MAX_TICKS)
    shown = range(0, len(genes), step)
    labels = [fig.clean(genes[i][0], 14) if named else "" for i in shown]
    axes.set_yticks(list(shown), labels=labels, family=list(fig.fonts()))
    if course.marked is not None:
        wide = fig.inches(axes)[0]
        strip = axes.inset_axes((1 + STRIP / wide / 2, 0.0, STRIP / wide, 1.0))
        strip.imshow(course.marked[index][:, None], **options)
        fig.plain(strip)
        strip.set_xticks([])
        strip.set_yticks([])
    return image
