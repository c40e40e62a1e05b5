"""Where the genes of one stage went: a panel for each group, a heat map, or maps of a path's slots.

Draws decoded values as they were merged with, not positions in the unit cube.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from evoforge.record import Record
from evoforge.report import figure as fig
from evoforge.report import gene_map, gene_path
from evoforge.report.course import SLOT, course
from evoforge.report.history import Floats, History, parse, values, winner

MAX_GENES = 40
MAX_PANELS = 16
COLUMNS = 4
# More bands than this hide each other.
MAX_BANDS = 4


def draw(record: Record, history: History, path: Path) -> Path:
    """Draw the genes of a stage over its evaluations."""
    panels = _panels(history.names)
    few = len(history.names) <= MAX_GENES and len(panels) <= MAX_PANELS
    if few and not any(SLOT.fullmatch(group) for _, group in panels):
        numbers = values(record, history)
        best = winner(record, history)
        figure = _lines(history, numbers, None if best is None else numbers[best], panels)
    else:
        found = course(record, history)
        figure = gene_path.draw(found) if gene_path.has_slots(found) else gene_map.draw(found)
    return fig.save(figure, path)


def _panels(names: Sequence[str]) -> dict[tuple[str, str], list[tuple[str, int]]]:
    """Return the genes of each (parameter, group): sources and positions."""
    found: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for index, name in enumerate(names):
        group, source, parameter = parse(name)
        found.setdefault((parameter, group), []).append((source, index))
    # All groups of one parameter stand together.
    order = list(dict.fromkeys(parameter for parameter, _ in found))
    return dict(sorted(found.items(), key=lambda item: order.index(item[0][0])))


def _sources(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(parse(name)[1] for name in names))


def _means(history: History, numbers: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return for each generation the middle in evaluations, and mean and band of each gene.

    Mean, 10th and 90th percentile: (generations, dim), smoothed over neighbouring generations.
    """
    parts = history.split()
    middle = np.array([history.evaluations[part].mean() for part in parts])
    mean = np.array([numbers[part].mean(axis=0) for part in parts])
    band = np.array([np.percentile(numbers[part], (10, 90), axis=0) for part in parts])
    half = len(parts) // 16
    return middle, _smooth(mean, half), _smooth(band[:, 0], half), _smooth(band[:, 1], half)


def _smooth(rows: Floats, half: int) -> Floats:
    """Return the running mean over `half` rows to each side, fewer at the ends."""
    sums = np.vstack([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    index = np.arange(len(rows))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(rows))
    return np.asarray((sums[high] - sums[low]) / (high - low)[:, None], dtype=np.float64)


def _lines(
    history: History,
    numbers: Floats,
    marked: Floats | None,
    panels: dict[tuple[str, str], list[tuple[str, int]]],
) -> Figure:
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    wide = 4.3 if columns <= 2 else 8.6 / columns
    figure = fig.blank(max(6.4, wide * columns), 1.0 + (2.6 if rows == 1 else 1.75) * rows)
    height = figure.get_figheight()
    grid = figure.add_gridspec(
        rows,
        columns,
        left=0.55 / figure.get_figwidth(),
        right=1 - 0.2 / figure.get_figwidth(),
        top=1 - 1.15 / height,
        bottom=0.48 / height,
        hspace=0.42,
        wspace=0.22,
    )
    sources = _sources(history.names)
    means = _means(history, numbers)
    share: dict[str, Axes] = {}
    for place, ((parameter, group), genes) in enumerate(panels.items()):
        same = share.get(parameter)
        axes = figure.add_subplot(grid[divmod(place, columns)], sharex=same, sharey=same)
        share.setdefault(parameter, axes)
        label = _label(parameter, group, panels)
        _panel(axes, fig.clean(label), means, genes, sources, marked)
        if place + columns >= len(panels):
            axes.set_xlabel("evaluations", color=fig.INK, size=8.5)
    _bounds(history, panels, share)
    whose = "the winner" if marked is not None else ""
    _names(figure, sources, whose)
    step = 2 * (len(means[0]) // 16) + 1
    over = f"over {step} generations" if step > 1 else "of a generation"
    said = f"line: mean {over}"
    said += "; band: 10th to 90th percentile" if len(sources) <= MAX_BANDS else ""
    fig.heading(figure, gene_map.title(history.names), said)
    return figure


def _label(parameter: str, group: str, panels: Collection[tuple[str, str]]) -> str:
    """Return what tells a panel from the others."""
    if not group or len({group for _, group in panels}) == 1:
        return parameter
    return group if len({parameter for parameter, _ in panels}) == 1 else f"{parameter}, {group}"


def _panel(
    axes: Axes,
    label: str,
    means: tuple[Floats, Floats, Floats, Floats],
    genes: Sequence[tuple[str, int]],
    sources: Sequence[str],
    marked: Floats | None,
) -> None:
    fig.style(axes)
    fig.write(axes, 0.0, 1.03, label, transform=axes.transAxes, va="bottom", size=9, weight="bold")
    middle, mean, low, high = means
    for source, index in genes:
        ink = fig.colour(sources.index(source))
        if len(sources) <= MAX_BANDS:
            axes.fill_between(middle, low[:, index], high[:, index], color=ink, alpha=0.13, lw=0)
        dot = "o" if len(middle) == 1 else ""
        axes.plot(middle, mean[:, index], color=ink, linewidth=1.8, marker=dot, markersize=4)
        if marked is not None:
            place = axes.get_yaxis_transform()
            axes.plot(
                [1.0],
                [marked[index]],
                marker="D",
                markersize=5.5,
                color=ink,
                markeredgecolor="white",
                markeredgewidth=0.9,
                transform=place,
                clip_on=False,
                zorder=5,
            )
    fig.ticks(axes.xaxis, 5, integer=True)
    fig.ticks(axes.yaxis, 4)
    axes.set_xlim(float(middle[0]) - 0.5, float(middle[-1]) + 0.5)


def _bounds(
    history: History,
    panels: dict[tuple[str, str], list[tuple[str, int]]],
    share: dict[str, Axes],
) -> None:
    """Show the whole range that is searched, so that a gene at its bound is seen."""
    for parameter, axes in share.items():
        used = [i for (name, _), genes in panels.items() if name == parameter for _, i in genes]
        low = min(history.info["low"][i] for i in used)
        high = max(history.info["high"][i] for i in used)
        air = 0.04 * ((high - low) or 1.0)
        axes.set_ylim(low - air, high + air)
        # All panels of a parameter share an axis, so one gene's choices are those of all.
        choices = history.info.get("choices", {}).get(history.names[used[0]], [])
        if choices:
            axes.set_yticks(range(len(choices)), [fig.clean(choice, 14) for choice in choices])


def _names(figure: Figure, sources: Sequence[str], whose: str) -> None:
    """Name the sources in their colours, and the diamonds, at the top."""
    wide, height = figure.get_figwidth(), figure.get_figheight()
    x, y = 0.13, 1 - 0.72 / height
    shown = [
        (fig.clean(s, 20) if s else "all sources", fig.colour(i)) for i, s in enumerate(sources)
    ]
    for name, ink in shown:
        fig.write(figure, x / wide, y, name, color=ink, weight="bold", va="center", size=9)
        x += 0.085 * len(name) + 0.25
    if whose:
        mark: dict[str, Any] = {"marker": "D", "markersize": 4.5, "color": fig.FAINT}
        figure.add_artist(Line2D([(x + 0.1) / wide], [y], **mark))
        fig.write(figure, (x + 0.22) / wide, y, whose, color=fig.FAINT, va="center", size=9)
