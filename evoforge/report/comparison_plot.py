"""The picture of several runs: test scores with intervals, and how the search scores rose.

Runs that differ in their seed alone share a colour; their curves are drawn as a mean with a band.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from evoforge.report import figure as fig
from evoforge.report.curves import AXES, Axis, band
from evoforge.report.groups import grouped, over_seeds
from evoforge.report.protocol import mark
from evoforge.report.runs import Comparison, Run
from evoforge.report.summary import higher, metric

# More rows than this do not fit a picture: then a group is a row, and the table has all runs.
MAX_ROWS = 40
MAX_LABELS = 14
# In inches: what stands above and below the rows, a row, the curves and what is between.
TOP, ROW, GAP, CURVES, BOTTOM = 1.0, 0.25, 0.9, 2.5, 0.65
SHORT = {"items": "items answered", "seconds": "seconds"}

Groups = dict[str, list[tuple[str, Run]]]


@dataclass(frozen=True)
class Row:
    """One row of test scores.

    Args:
        label: of a run, or of a group.
        ink: the group's colour.
        runs: with their scores; one for a row that is a run.
        ends: the interval of the score, or of the mean; None without one.
        mean: of a group's scores; None for a run.
        best: the score of the best source.
    """

    label: str
    ink: str
    runs: tuple[Run, ...]
    ends: tuple[float, float] | None
    mean: float | None
    best: float | None


def draw(found: Comparison, path: Path) -> Path:
    """Draw test scores above, and below how the best scores rose, against what was spent."""
    groups = grouped(found)
    inks = dict(zip(groups, _colours(len(groups)), strict=True))
    several = len(found.runs) > MAX_ROWS
    rows = _groups(found, groups, inks) if several else _runs(found, groups, inks)
    rows, more = rows[:MAX_ROWS], len(rows) - MAX_ROWS
    high = TOP + ROW * max(3, len(rows)) + GAP + CURVES + BOTTOM
    figure = fig.blank(11.0, high)
    results = [run.result for run in found.runs if run.result]
    name = fig.clean(metric(results[0])) if results else "score"
    percent = _percent(found.runs)
    top = fig.place(figure, 2.9, TOP, 7.8, ROW * max(3, len(rows)))
    _scores(top, rows, found)
    _titled(top, f"{name} on the test items")
    panels = _panels(figure, high - BOTTOM - CURVES, groups, inks)
    _titled(panels[0], f"best {name} so far on the search items")
    if percent:
        top.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
        panels[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    unit = "percent; " if percent else ""
    unit += "lower is better; " if any(not higher(result) for result in results) else ""
    scored = sum(run.test is not None for run in found.runs)
    seeds = any(len(members) > 1 for members in groups.values())
    said = f"{unit}95 % intervals" + ("" if several else "; | best source")
    said += "; curves: mean and range over seeds" if seeds else ""
    said += ", ◆ mean test score" if scored else ""
    said += "; hollow, ≠: other protocol or test items, not comparable" if found.odd else ""
    said += f"; {more} more rows: see the table" if more > 0 else ""
    fig.heading(figure, f"{found.counted} compared, {scored} with a test score", said)
    marks = list(dict.fromkeys(mark(result["protocol"]) for result in results))
    fig.footnote(figure, fig.clean(marks[0] if len(marks) == 1 else f"{len(marks)} protocols", 60))
    return fig.save(figure, path)


def _titled(axes: Axes, title: str) -> None:
    place = {"transform": axes.transAxes, "va": "bottom", "weight": "bold"}
    fig.write(axes, 0.0, 1 + 0.06 / fig.inches(axes)[1], title, **place)


def _colours(count: int) -> list[str]:
    if count <= len(fig.PALETTE):
        return [fig.colour(index) for index in range(count)]
    return [to_hex(colormaps["viridis"](value)) for value in np.linspace(0, 0.9, count)]


def _percent(runs: Sequence[Run]) -> bool:
    ends = [end for run in runs if run.test for end in (run.test["low"], run.test["high"])]
    return bool(ends) and all(0 <= end <= 1 for end in ends)


def _runs(found: Comparison, groups: Groups, inks: dict[str, str]) -> list[Row]:
    """Return a row for each run: score, interval, best source."""
    best = {row["run"]: row["best_source_score"] for row in found.rows}
    rows = []
    for label, members in groups.items():
        for own, run in members:
            many = len(members) > 1
            said = f"{fig.clean(label, 22)}, {fig.clean(own, 9)}" if many else fig.clean(label, 30)
            said += " ≠" if run.name in found.odd else ""
            ends = (run.test["low"], run.test["high"]) if run.test else None
            rows.append(Row(said, inks[label], (run,), ends, None, best[run.name]))
    return rows


def _groups(found: Comparison, groups: Groups, inks: dict[str, str]) -> list[Row]:
    """Return a row for each group: the scores of its seeds, and the interval of their mean."""
    lines = {line.label: line for line in over_seeds(found)}
    rows = []
    for label, members in groups.items():
        own, several = tuple(run for _, run in members), lines.get(label)
        ends = None if several is None else (several.low, several.high)
        mean = None if several is None else several.score
        rows.append(Row(fig.clean(label, 30), inks[label], own, ends, mean, None))
    return rows


def _scores(axes: Axes, rows: Sequence[Row], found: Comparison) -> None:
    """Draw the scores of each row; a word where there is none."""
    fig.style(axes)
    axes.grid(visible=False, axis="y")
    for place, row in enumerate(rows):
        if row.best is not None:
            axes.plot(row.best, place, marker="|", color=fig.FAINT, ms=9, mew=1.6)
        if row.ends is not None:
            axes.plot(row.ends, [place, place], color=row.ink, lw=1.8, solid_capstyle="round")
        if row.mean is not None:
            axes.plot(row.mean, place, marker="D", color=row.ink, mec="white", ms=7, zorder=4)
        alone = row.mean is None
        for run in row.runs:
            if run.test is not None:
                inside = "white" if run.name in found.odd else row.ink
                size, alpha = (6, 1.0) if alone else (4, 0.6)
                style: dict[str, Any] = {
                    "marker": "o",
                    "color": row.ink,
                    "mfc": inside,
                    "alpha": alpha,
                }
                axes.plot(run.test["score"], place, ms=size, **style)
        if all(run.test is None for run in row.runs):
            words = {"transform": axes.get_yaxis_transform(), "color": fig.FAINT, "size": 8}
            said = row.runs[0].status
            fig.write(axes, 0.99, place, said, va="center_baseline", ha="right", **words)
    axes.set_ylim(max(3, len(rows)) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), labels=[r.label for r in rows], family=list(fig.fonts()))
    fig.ticks(axes.xaxis, 10)


def _panels(figure: Figure, top: float, groups: Groups, inks: dict[str, str]) -> list[Axes]:
    """Draw the best scores so far three times, against each thing that was spent."""
    panels: list[Axes] = []
    for number, axis in enumerate(AXES):
        axes = fig.place(figure, 0.75 + 2.85 * number, top, 2.45, CURVES)
        panels.append(axes)
        ends = _curves(axes, groups, inks, axis)
        axes.set_xlabel(SHORT.get(axis, axis), color=fig.INK, size=9)
        if number:
            axes.sharey(panels[0])
            axes.tick_params(labelleft=False)
    fig.ticks(panels[0].yaxis, 6)
    _names(panels[-1], ends)
    return panels


def _curves(
    axes: Axes, groups: Groups, inks: dict[str, str], axis: Axis
) -> list[tuple[float, str, str]]:
    """Draw each group's best score so far; return where each ends, its label and colour."""
    fig.style(axes)
    ends: list[tuple[float, str, str]] = []
    last = 1.0
    for label, members in groups.items():
        ink, runs = inks[label], [run for _, run in members]
        found = band([run.curve for run in runs if run.curve is not None], axis)
        if found is None:
            continue
        if len(runs) > 1:
            shade: dict[str, Any] = {"color": ink, "alpha": 0.15, "linewidth": 0}
            axes.fill_between(found.x, found.low, found.high, step="post", **shade)
        axes.step(found.x, found.mean, where="post", color=ink, linewidth=2)
        last = max(last, float(found.x[-1]))
        tested = [run.test["score"] for run in runs if run.test is not None]
        if tested:
            diamond: dict[str, Any] = {
                "marker": "D",
                "color": ink,
                "mec": "white",
                "ms": 7,
                "clip_on": False,
            }
            axes.plot(found.x[-1], np.mean(tested), zorder=5, **diamond)
        ends.append((float(found.mean[-1]), label, ink))
    axes.set_xlim(0, last)
    fig.ticks(axes.xaxis, 4, integer=axis != "seconds")
    return ends


def _names(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Name the curves at their ends, to the right of the last panel."""
    low, high = axes.get_ylim()
    heights = [(score - low) / (high - low) for score, _, _ in ends][:MAX_LABELS]
    gap = 0.17 / fig.inches(axes)[1]
    for (_, label, ink), place in zip(ends, fig.spread(heights, gap, 0.02, 0.98), strict=False):
        options = {"va": "center_baseline", "color": ink, "weight": "bold", "size": 8.5}
        fig.write(axes, 1.06, place, fig.clean(label, 24), transform=axes.transAxes, **options)
