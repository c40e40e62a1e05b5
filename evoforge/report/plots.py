"""The pictures of one run: `fitness.png`, `genes.png` and, where there is one, `path.png`.

How the score rose, where the genes went, and the winner's way through the layers. Reads the
record; a run that is not finished has pictures too. A stage without any result is not drawn.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from evoforge.path import hops
from evoforge.record import BASELINE, Record
from evoforge.report import figure as fig
from evoforge.report.archive_plot import archives
from evoforge.report.archive_plot import draw as draw_archive
from evoforge.report.front import front
from evoforge.report.front_plot import draw as draw_front
from evoforge.report.gene_plot import draw as draw_genes
from evoforge.report.history import Floats, History, higher, histories, winner
from evoforge.report.path_plot import draw as draw_path
from evoforge.report.protocol import mark
from evoforge.report.result import fact
from evoforge.report.route import depths, winning

BEST = fig.PALETTE[0]
MEAN = fig.PALETTE[1]
DOT = "#9FB3C8"
WINNER: dict[str, Any] = {"marker": "D", "color": BEST, "mec": "white", "mew": 1.1}
# Font size 8.5 and a little air, as a share of the axes' height.
LINE = 0.052


def plots(record: Record) -> list[Path]:
    """Draw `fitness.png` and `genes.png` into the run folder; return what was drawn.

    Of a path also `path.png`, of a search for several goals `front.png`, of one with archives
    `archive.png`.

    Raises:
        JournalError: the folder cannot be written.
    """
    stages = histories(record)
    if not stages:
        return []
    paths = [fitness(record, stages)]
    for number, history in enumerate(stages, start=1):
        if history.names:
            name = "genes.png" if number == 1 else f"genes_{number}.png"
            paths.append(draw_genes(record, history, record.folder / name))
    content = winning(record)
    if content is not None and hops(content):
        layers = depths(record, content)
        paths.append(draw_path(hops(content), layers, record.folder / "path.png"))
    return [*paths, *filter(None, [draw_front(record), draw_archive(record)])]


def names(record: Record) -> list[str]:
    """Return the file names of what `plots` draws, in its order."""
    stages = histories(record)
    if not stages:
        return []
    numbers = [number for number, history in enumerate(stages, start=1) if history.names]
    genes = ["genes.png" if number == 1 else f"genes_{number}.png" for number in numbers]
    content = winning(record)
    others = {
        "path.png": content is not None and hops(content),
        "front.png": front(record),
        "archive.png": archives(record),
    }
    return ["fitness.png", *genes, *(name for name, there in others.items() if there)]


def fitness(record: Record, stages: Sequence[History]) -> Path:
    """Draw every candidate's score, the best so far, generation means and the baselines."""
    info = stages[-1].info
    figure = fig.blank(8.6, 4.7)
    axes = figure.add_axes((0.07, 0.105, 0.685, 0.69))
    fig.style(axes)
    baselines = _baselines(record)
    for history in stages:
        _draw_stage(axes, history, first=history is stages[0])
        if len(stages) > 1:
            _name_stage(axes, history)
    scores = np.concatenate([history.scores for history in stages])
    scores = np.concatenate([scores[~np.isnan(scores)], [score for _, score in baselines]])
    failed = sum(int(history.failed.sum()) for history in stages)
    dropped = any(history.dropped.any() for history in stages)
    _limits(axes, scores, stages, failed)
    _draw_failures(axes, stages)
    _label_right(axes, stages, baselines)
    won = _draw_winner(axes, record, stages)
    _legend(axes, failed, won=won, means=any(map(_in_generations, stages)), dropped=dropped)
    percent = scores.size > 0 and bool((scores >= 0).all() and (scores <= 1).all())
    _scale(axes, percent=percent)
    axes.set_xlabel("evaluations", color=fig.INK, size=9)
    done = int(stages[-1].evaluations[-1])
    arrow = "" if higher(info) else " (lower is better)"
    unit = ", percent" if percent else ""
    metric = fig.clean(str(info.get("metric", "score")))
    how = " then ".join(
        f"{fig.clean(str(h.info.get('merge')))} by {fig.clean(str(h.info.get('optimizer')))}"
        for h in stages
    )
    title = f"Search score of every candidate: {metric}{unit}{arrow}"
    said = f"{how}, {done} evaluations in {_generations(stages)} generations"
    screened = sum(int(history.screened.sum()) for history in stages)
    said += f"; {screened} candidates, screened by a proxy alone, have no score" if screened else ""
    fig.heading(figure, title, said)
    fig.footnote(figure, fig.clean(mark(fact(record, "protocol") or {}, search=True), 60))
    return fig.save(figure, record.folder / "fitness.png")


def _generations(stages: Sequence[History]) -> int:
    return sum(len(history.split()) for history in stages)


def _baselines(record: Record) -> list[tuple[str, float]]:
    """Return the baselines that were scored on the search items, as labels and scores."""
    sources = {source["name"] for source in fact(record, "sources") or []}
    found = []
    for (role, part), number in record.roles().items():
        evaluation = record.evaluation(number)
        if part == "search" and role.startswith(BASELINE) and evaluation.score is not None:
            name = role.removeprefix(BASELINE)
            found.append((name if name in sources else name.replace("_", " "), evaluation.score))
    return found


def _draw_stage(axes: Axes, history: History, *, first: bool) -> None:
    x = history.evaluations
    if not first:
        axes.axvline(x[0] - 0.5, color=fig.FAINT, linewidth=0.8, linestyle=(0, (2, 3)))
    size = float(np.clip(2600 / max(1, len(x)), 5, 20))
    full, few = history.scored & ~history.dropped, history.dropped
    axes.scatter(x[full], history.scores[full], s=size, color=DOT, linewidths=0, zorder=2)
    hollow: dict[str, Any] = {"s": size, "facecolors": "none", "edgecolors": DOT}
    axes.scatter(x[few], history.scores[few], **hollow, linewidths=0.7, zorder=2)
    middle, means = history.means()
    if _in_generations(history):
        axes.plot(middle, means, color=MEAN, linewidth=1.3, zorder=3, marker="o", markersize=2.6)
    axes.step(x, history.best, where="post", color=BEST, linewidth=2.2, zorder=4)


def _name_stage(axes: Axes, history: History) -> None:
    """Name a stage where it begins, in the strip at the top that `_limits` leaves free."""
    options: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "va": "top"}
    options |= {"color": fig.FAINT, "weight": "bold"}
    fig.write(axes, history.evaluations[0] - 0.5, 0.99, f" {fig.clean(history.stage)}", **options)


def _in_generations(history: History) -> bool:
    """Whether there is any generation of more than one candidate, so that a mean says more."""
    return any(len(part) > 1 for part in history.split())


def _limits(axes: Axes, scores: Floats, stages: Sequence[History], failed: int) -> None:
    last = int(stages[-1].evaluations[-1])
    axes.set_xlim(0.5 - 0.01 * last, last + 0.5 + 0.015 * last)
    fig.ticks(axes.xaxis, 8, integer=True)
    low, high = (float(scores.min()), float(scores.max())) if scores.size else (0.0, 1.0)
    room = (high - low) or max(abs(high), 1.0) * 0.5
    # Failures get a strip of their own below the lowest score, names of stages one at the top.
    above = 0.07 if len(stages) == 1 else 0.12
    axes.set_ylim(low - room * (0.14 if failed else 0.07), high + room * above)


def _draw_failures(axes: Axes, stages: Sequence[History]) -> None:
    for history in stages:
        x = history.evaluations[history.failed]
        axes.scatter(
            x,
            np.full(len(x), 0.025),
            marker="x",
            s=18,
            linewidths=1.1,
            color=fig.PALETTE[3],
            transform=axes.get_xaxis_transform(),
            zorder=4,
            clip_on=False,
        )


def _draw_winner(axes: Axes, record: Record, stages: Sequence[History]) -> bool:
    """Mark the candidate that became the winner, often not the best found; False if there is none.

    A run of two stages ends in a candidate of the second.
    """
    for history in reversed(stages):
        at = winner(record, history)
        if at is not None and history.scored[at]:
            place = [history.evaluations[at]], [history.scores[at]]
            axes.plot(*place, **WINNER, markersize=7.5, zorder=6, linestyle="none")
            return True
    return False


def _label_right(
    axes: Axes, stages: Sequence[History], baselines: Sequence[tuple[str, float]]
) -> None:
    """Draw the baselines' lines, and name them and the best score in the right margin."""
    low, high = axes.get_ylim()
    lines = [(fig.clean(name, 21), score, fig.INK, "normal") for name, score in baselines]
    for _, score in baselines:
        axes.axhline(score, color=fig.FAINT, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1)
    for history in stages:
        best = float(history.best[-1])
        if not math.isnan(best):
            said = "best found" if len(stages) == 1 else f"best of {fig.clean(history.stage, 12)}"
            lines.append((said, best, BEST, "bold"))
    heights = [(score - low) / (high - low) for _, score, _, _ in lines]
    percent = all(0 <= score <= 1 for _, score, _, _ in lines)
    places = fig.spread(heights, LINE, 0.01, 0.99)
    for (name, score, ink, weight), height, place in zip(lines, heights, places, strict=True):
        axes.plot(
            [1.0, 1.02, 1.03],
            [height, place, place],
            transform=axes.transAxes,
            color=ink if weight == "bold" else fig.FAINT,
            linewidth=0.8,
            clip_on=False,
        )
        shown = f"{100 * score:.1f}" if percent else f"{score:.3g}"
        options = {"va": "center_baseline", "size": 8.5, "color": ink, "weight": weight}
        text = f"{shown}  {name}"
        fig.write(axes, 1.038, place, text, transform=axes.transAxes, **options)


def _legend(axes: Axes, failed: int, *, won: bool, means: bool, dropped: bool) -> None:
    """Name what is drawn, above the axes."""
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("candidate", {"marker": "o", "color": DOT, "linestyle": "none", "markersize": 4.5}),
        ("best so far", {"color": BEST, "linewidth": 2.2}),
        ("baseline", {"color": fig.FAINT, "linewidth": 0.9, "linestyle": (0, (5, 3))}),
    ]
    if dropped:
        kinds.insert(1, ("on fewer items", {**kinds[0][1], "mfc": "none"}))
    if means:
        line = {"color": MEAN, "linewidth": 1.3, "marker": "o", "markersize": 3}
        kinds.insert(-1, ("mean of a generation", line))
    if won:
        kinds.append(("winner", {**WINNER, "linestyle": "none", "markersize": 6.5}))
    if failed:
        mark = {"marker": "x", "color": fig.PALETTE[3], "linestyle": "none", "markersize": 5}
        kinds.append((f"failed ({failed})", mark))
    handles = [axes.plot([], [], **options)[0] for _, options in kinds]
    axes.legend(
        handles,
        [name for name, _ in kinds],
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.005),
        ncols=len(kinds),
        frameon=False,
        borderaxespad=0,
        handlelength=1.6,
        columnspacing=1.5,
        handletextpad=0.5,
        prop={"family": list(fig.fonts()), "size": 8.5},
        labelcolor=fig.INK,
    )


def _scale(axes: Axes, *, percent: bool) -> None:
    fig.ticks(axes.yaxis, 7)
    if percent:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g}" if y >= 0 else ""))
