"""The picture of several runs: test scores with intervals, and how the search scores rose.

Runs that differ in their seed alone share a colour; their curves are drawn as a mean with a band.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.ticker import FuncFormatter

from evoforge.report import figure as fig
from evoforge.report.groups import grouped
from evoforge.report.history import Floats
from evoforge.report.protocol import mark
from evoforge.report.summary import higher, metric

if TYPE_CHECKING:
    from evoforge.report.compare import Comparison, Run

# More runs than this do not fit a picture; the table has them all.
MAX_ROWS = 40
MAX_LABELS = 14


def draw(found: Comparison, path: Path) -> Path:
    """Draw test scores to the left and best-so-far curves to the right."""
    groups = grouped(found)
    shown = _shown(groups)
    rows = sum(len(members) for members in shown.values())
    figure = fig.blank(11.0, max(4.2, 1.7 + 0.27 * rows))
    height = figure.get_figheight()
    box = (0.62 / height, 1 - 1.55 / height)
    left = figure.add_axes((0.25, box[0], 0.225, box[1]))
    right = figure.add_axes((0.53, box[0], 0.29, box[1]))
    results = [run.result for run in found.runs if run.result]
    name = fig.clean(metric(results[0])) if results else "score"
    percent = _percent(found.runs)
    _scores(left, shown, found)
    _curves(right, shown)
    for axes, title in ((left, f"{name} on the test items"), (right, f"best {name} so far")):
        place = {"transform": axes.transAxes, "va": "bottom", "weight": "bold"}
        fig.write(axes, 0.0, 1.02, title, **place)
    if percent:
        shown_as = FuncFormatter(lambda value, _: f"{100 * value:g}")
        left.xaxis.set_major_formatter(shown_as)
        right.yaxis.set_major_formatter(shown_as)
    unit = "percent; " if percent else ""
    unit += "lower is better; " if any(not higher(result) for result in results) else ""
    scored = sum(run.test is not None for run in found.runs)
    seeds = any(len(members) > 1 for members in shown.values())
    said = f"{unit}95 % intervals; | best source"
    said += "; curves: mean and range over seeds" if seeds else ""
    said += "; hollow, ≠: other protocol or test items, not comparable" if found.odd else ""
    said += f"; first {rows} of {len(found.runs)} runs" if rows < len(found.runs) else ""
    fig.heading(figure, f"{len(found.runs)} runs compared, {scored} with a test score", said)
    marks = list(dict.fromkeys(mark(result["protocol"]) for result in results))
    fig.footnote(figure, fig.clean(marks[0] if len(marks) == 1 else f"{len(marks)} protocols", 60))
    return fig.save(figure, path)


def _shown(groups: dict[str, list[tuple[str, Run]]]) -> dict[str, list[tuple[str, Run]]]:
    room, kept = MAX_ROWS, {}
    for label, members in groups.items():
        if members[:room]:
            kept[label] = members[:room]
        room -= len(kept.get(label, ()))
    return kept


def _colours(count: int) -> list[str]:
    if count <= len(fig.PALETTE):
        return [fig.colour(index) for index in range(count)]
    return [to_hex(colormaps["viridis"](value)) for value in np.linspace(0, 0.9, count)]


def _percent(runs: Sequence[Run]) -> bool:
    ends = [end for run in runs if run.test for end in (run.test["low"], run.test["high"])]
    return bool(ends) and all(0 <= end <= 1 for end in ends)


def _scores(axes: Axes, groups: dict[str, list[tuple[str, Run]]], found: Comparison) -> None:
    """Draw a row for each run: score, interval, best source; a word where there is no score."""
    fig.style(axes)
    axes.grid(visible=False, axis="y")
    best = {row["run"]: row["best_source_score"] for row in found.rows}
    row, labels = 0, []
    for ink, (label, members) in zip(_colours(len(groups)), groups.items(), strict=True):
        for own, run in members:
            many = len(members) > 1
            said = f"{fig.clean(label, 22)}, {fig.clean(own, 9)}" if many else fig.clean(label, 30)
            odd = run.name in found.odd
            labels.append(f"{said} ≠" if odd else said)
            if best[run.name] is not None:
                axes.plot(best[run.name], row, marker="|", color=fig.FAINT, ms=10, mew=1.6)
            if run.test is None:
                words = {"transform": axes.get_yaxis_transform(), "color": fig.FAINT}
                fig.write(
                    axes, 0.99, row, run.status, **words, size=8, va="center_baseline", ha="right"
                )
            else:
                ends = [run.test["low"], run.test["high"]]
                axes.plot(ends, [row, row], color=ink, linewidth=1.8, solid_capstyle="round")
                inside = "white" if odd else ink
                axes.plot(run.test["score"], row, marker="o", color=ink, mfc=inside, markersize=6)
            row += 1
    axes.set_ylim(row - 0.4, -0.6)
    axes.set_yticks(range(row), labels=labels, family=list(fig.fonts()))
    fig.ticks(axes.xaxis, 7)


def _curves(axes: Axes, groups: dict[str, list[tuple[str, Run]]]) -> None:
    """Draw each group's best score so far, named at its end."""
    fig.style(axes)
    ends: list[tuple[float, str, str]] = []
    last = 1.0
    for ink, (label, members) in zip(_colours(len(groups)), groups.items(), strict=True):
        curves = [run.curve for _, run in members if run.curve is not None]
        if not curves:
            continue
        x, scores = _aligned(curves)
        some = ~np.isnan(scores).all(axis=0)
        if not some.any():
            continue
        x, scores = x[some], scores[:, some]
        mean = np.nanmean(scores, axis=0)
        if len(curves) > 1:
            band = np.nanmin(scores, axis=0), np.nanmax(scores, axis=0)
            axes.fill_between(x, *band, step="post", color=ink, alpha=0.15, linewidth=0)
        axes.step(x, mean, where="post", color=ink, linewidth=2)
        ends.append((float(mean[-1]), label, ink))
        last = max(last, float(x[-1]))
    axes.set_xlim(0, last)
    axes.set_xlabel("evaluations", color=fig.INK, size=9)
    fig.ticks(axes.xaxis, 6, integer=True)
    fig.ticks(axes.yaxis, 6)
    low, high = axes.get_ylim()
    heights = [(score - low) / (high - low) for score, _, _ in ends][:MAX_LABELS]
    gap = 0.17 / fig.inches(axes)[1]
    for (_, label, ink), place in zip(ends, fig.spread(heights, gap, 0.02, 0.98), strict=False):
        options = {"va": "center_baseline", "color": ink, "weight": "bold", "size": 8.5}
        fig.write(axes, 1.02, place, fig.clean(label, 22), transform=axes.transAxes, **options)


def _aligned(curves: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Return all curves at all evaluations up to the shortest's end: (n,), (curves, n)."""
    end = min(float(x[-1]) for x, _ in curves)
    x = np.unique(np.concatenate([x for x, _ in curves]))
    x = x[x <= end]
    rows = []
    for own, scores in curves:
        at = np.searchsorted(own, x, side="right") - 1
        rows.append(np.where(at >= 0, scores[np.maximum(at, 0)], np.nan))
    return x, np.array(rows, dtype=np.float64)
