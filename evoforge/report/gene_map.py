"""Many genes at once: a heat map of groups over evaluations for each source and parameter.

Knows arrays and names; does not read records.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from evoforge.report import figure as fig
from evoforge.report.history import Floats, History, parse

# One hue order for all, dark to light, safe for colour-blind eyes and in grey.
MAP = "cividis"
MAX_BLOCKS = 12
MAX_TICKS = 12
# parameter -> source -> groups and positions of the genes
Blocks = dict[str, dict[str, list[tuple[str, int]]]]


def draw(history: History, numbers: Floats, marked: Floats | None) -> Figure:
    """Return the picture of a stage with many genes.

    Args:
        history: the stage.
        numbers: (n, dim) decoded genes of every candidate.
        marked: (dim,) the winner's.
    """
    low, high = (np.array(history.info[key], dtype=np.float64) for key in ("low", "high"))
    blocks = _blocks(history.names)
    whole = "" in blocks
    if whole:
        # Genes of different kinds share a scale only as positions in their ranges.
        numbers = (numbers - low) / (high - low)
        marked = None if marked is None else (marked - low) / (high - low)
        low, high = np.zeros_like(low), np.ones_like(high)
    means = np.array([numbers[part].mean(axis=0) for part in history.split()])
    sources = list(dict.fromkeys(source for found in blocks.values() for source in found))
    figure, cells = _canvas(len(blocks), len(sources))
    for row, (parameter, found) in enumerate(blocks.items()):
        used = [index for genes in found.values() for _, index in genes]
        ends = float(low[used].min()), float(high[used].max())
        images = [
            _block(cells[row][sources.index(source)], history, means, marked, genes, ends)
            for source, genes in found.items()
        ]
        for source in found:
            axes = cells[row][sources.index(source)]
            label = fig.clean(f"{parameter}, {source}" if source else parameter, 30)
            place = {"transform": axes.transAxes, "va": "bottom", "weight": "bold"}
            fig.write(axes, 0.0, 1.02, label, **place)
            if row == len(blocks) - 1:
                axes.set_xlabel("evaluations", color=fig.INK, size=8.5)
        _colour_bar(figure, cells[row], images[0], parameter or "position in range")
        for missing in [s for s in sources if s not in found]:
            cells[row][sources.index(missing)].set_visible(False)
    said = "colour: mean of a generation"
    said += "; right strip: the winner" if marked is not None else ""
    fig.heading(figure, title(history.names), said)
    return figure


def title(names: Sequence[str]) -> str:
    """Return a picture's heading; it names the parameter if there is but one."""
    genes = "gene" if len(names) == 1 else f"{len(names)} genes"
    parameters = {parse(name)[2] for name in names}
    only = f": {fig.clean(parameters.pop())}" if len(parameters) == 1 else ""
    return f"Where the search moved the {genes}{only}"


def _blocks(names: tuple[str, ...]) -> Blocks:
    """Return the genes by parameter and source; all in one block if there would be too many."""
    found: Blocks = {}
    for index, name in enumerate(names):
        group, source, parameter = parse(name)
        found.setdefault(parameter, {}).setdefault(source, []).append((group, index))
    if sum(len(sources) for sources in found.values()) > MAX_BLOCKS:
        return {"": {"": [(name, index) for index, name in enumerate(names)]}}
    return found


def _canvas(rows: int, columns: int) -> tuple[Figure, list[list[Axes]]]:
    width = max(6.4, 0.9 + 2.5 * columns + 0.9)
    height = 1.35 + (3.6 if rows == 1 else 2.7) * rows
    figure = fig.blank(width, height)
    grid = figure.add_gridspec(
        rows,
        columns,
        left=0.85 / width,
        right=1 - 1.15 / width,
        top=1 - 0.95 / height,
        bottom=0.5 / height,
        hspace=0.2,
        wspace=0.24,
    )
    cells = [[figure.add_subplot(grid[r, c]) for c in range(columns)] for r in range(rows)]
    return figure, cells


def _block(
    axes: Axes,
    history: History,
    means: Floats,
    marked: Floats | None,
    genes: list[tuple[str, int]],
    ends: tuple[float, float],
) -> AxesImage:
    """Draw one source's genes of one parameter: groups downwards, evaluations to the right."""
    index = [i for _, i in genes]
    options: dict[str, Any] = {"cmap": MAP, "vmin": ends[0], "vmax": ends[1], "aspect": "auto"}
    options["interpolation"] = "nearest"
    x = float(history.evaluations[0]) - 0.5, float(history.evaluations[-1]) + 0.5
    extent = (*x, len(genes) - 0.5, -0.5)
    image = axes.imshow(means[:, index].T, extent=extent, **options)
    _plain(axes)
    fig.ticks(axes.xaxis, 5, integer=True)
    step = -(-len(genes) // MAX_TICKS)
    shown = range(0, len(genes), step)
    first = axes.get_subplotspec().is_first_col()  # type: ignore[union-attr]
    labels = [fig.clean(genes[i][0], 14) if first else "" for i in shown]
    axes.set_yticks(list(shown), labels=labels, family=list(fig.fonts()))
    if marked is not None:
        strip = axes.inset_axes((1.025, 0.0, 0.06, 1.0))
        strip.imshow(marked[index][:, None], **options)
        _plain(strip)
        strip.set_xticks([])
        strip.set_yticks([])
    return image


def _plain(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(colors=fig.FAINT, labelcolor=fig.INK, labelsize=8, length=0)


def _colour_bar(figure: Figure, cells: list[Axes], image: AxesImage, label: str) -> None:
    box = cells[-1].get_position()
    wide = figure.get_figwidth()
    axes = figure.add_axes((1 - 0.72 / wide, box.y0, 0.1 / wide, box.height))
    bar = figure.colorbar(image, cax=axes)
    bar.outline.set_visible(False)
    axes.tick_params(colors=fig.FAINT, labelcolor=fig.INK, labelsize=8, length=0)
    fig.ticks(axes.yaxis, 5)
    options: dict[str, Any] = {"family": list(fig.fonts()), "size": 8.5, "color": fig.INK}
    axes.set_ylabel(fig.clean(label), rotation=270, labelpad=11, **options)
