"""How the score of a search rose: every candidate, the best so far, and what it must beat."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evoforge.report.figure import spread
from evoforge.report.history import Floats, History
from evoforge.report.html.markup import Html, data, join
from evoforge.report.html.page import FAINT, INK, PALETTE, chart
from evoforge.report.html.run import Run

# More points hide each other; failures and whoever was the best so far are always there.
MOST_POINTS = 4000
# Above so many, pixels are drawn instead of shapes.
MANY = 1500
HEIGHT = 340
# Pixels between the names of two baselines.
LINE = 14
KINDS = ("candidate", "on fewer items", "screened by a proxy", "failed", "winner")
COLOURS = ("var(--dot)", "var(--c5)", "var(--c4)", "var(--c1)", "var(--c0)")
SHAPES = ("circle", "circle", "triangle-down", "cross", "diamond")


def fitness(run: Run) -> Html:
    """Return the chart of every candidate's search score; nothing before the first."""
    if not run.stages:
        return Html("")
    baselines = _baselines(run)
    scores = [run.shown(s) for h in run.stages for s in h.scores]
    heights = [s for s in scores if s is not None] + [score for _, score in baselines]
    low, high = (min(heights), max(heights)) if heights else (0.0, 1.0)
    room = (high - low) or max(abs(high), 1.0) * 0.5
    domain = [low - 0.1 * room, high + 0.08 * room]
    points = [row for history in run.stages for row in _points(run, history, domain[0])]
    sets = [
        data("candidates", points),
        data("best", [row for history in run.stages for row in _best(run, history)]),
        data("means", [row for history in run.stages for row in _means(run, history)]),
        data("baselines", _labels(baselines, domain)),
    ]
    last = int(run.stages[-1].evaluations[-1])
    kinds = [kind for kind in KINDS if any(point["kind"] == kind for point in points)]
    spec = {"height": HEIGHT, "layer": _layers(run, domain, last, kinds)}
    picture = chart(
        "fitness",
        spec,
        title="Search score of every candidate.",
        said=_said(run, len(points)),
        canvas=len(points) > MANY,
    )
    return join([*sets, picture])


def _said(run: Run, shown: int) -> str:
    count = sum(len(history.candidates) for history in run.stages)
    some = f" {shown:,} of {count:,} candidates are drawn." if shown < count else ""
    several = " Each search has lines of its own." if len(run.stages) > 1 else ""
    return (
        "Blue: the best so far; orange: the mean of a generation; dashed: the baselines on search "
        f"items. Scores are of the search items, which chose.{some}{several}"
    )


def _baselines(run: Run) -> list[tuple[str, float]]:
    """Return the baselines that were scored on search items: labels and scores as shown."""
    found = []
    for row in run.rows:
        part = row.entry["search"]
        if row.kind != "winner" and part is not None:
            found.append((row.label, run.shown(part["score"]) or 0.0))
    return found


def _labels(
    baselines: Sequence[tuple[str, float]], domain: Sequence[float]
) -> list[dict[str, Any]]:
    """Return the baselines with heights of their names that keep clear of each other."""
    gap = (domain[1] - domain[0]) * LINE / HEIGHT
    places = spread([score for _, score in baselines], gap, domain[0], domain[1])
    return [
        {"name": f"{name} {score:.4g}", "score": score, "place": place}
        for (name, score), place in zip(baselines, places, strict=True)
    ]


def _kinds(run: Run, history: History) -> NDArray[np.str_]:
    kinds = np.full(len(history.candidates), KINDS[0], dtype="U24")
    for name, chosen in zip(
        KINDS[1:], (history.dropped, history.screened, history.failed), strict=False
    ):
        kinds[chosen] = name
    won = run.winner(history)
    if won is not None:
        kinds[won] = KINDS[4]
    return kinds


def _points(run: Run, history: History, floor: float) -> list[dict[str, Any]]:
    """Return the candidates to draw; those without a score lie at the bottom."""
    best, kinds = history.best, _kinds(run, history)
    needed = _rose(best) | np.isin(kinds, KINDS[2:])
    chosen = sample(needed, MOST_POINTS)
    return [
        {
            "at": int(history.evaluations[i]),
            "score": run.shown(history.scores[i]),
            "place": floor
            if history.scores[i] != history.scores[i]
            else run.shown(history.scores[i]),
            "kind": str(kinds[i]),
            "generation": history.candidates[i].generation,
            "position": history.candidates[i].position,
            "items": int(history.items[i]),
            "stage": history.stage,
        }
        for i in chosen
    ]


def sample(needed: NDArray[np.bool_], most: int) -> NDArray[np.intp]:
    """Return positions, in order: all if they are few, else those needed and others evenly."""
    if len(needed) <= most:
        return np.arange(len(needed))
    # Of too many that are needed, evenly too.
    first = _evenly(np.flatnonzero(needed), most)
    rest = _evenly(np.flatnonzero(~needed), most - len(first))
    return np.sort(np.concatenate([first, rest]))


def _evenly(places: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    if len(places) <= most:
        return places
    return (
        places[np.linspace(0, len(places) - 1, most).round().astype(np.intp)]
        if most
        else places[:0]
    )


def _rose(best: Floats) -> NDArray[np.bool_]:
    """Return where the best so far is another than before: (n,)."""
    return np.append(True, (best[1:] != best[:-1]) & ~np.isnan(best[1:]))


def _best(run: Run, history: History) -> list[dict[str, Any]]:
    """Return where the best so far rose, and where it ends."""
    best = history.best
    rose = _rose(best)
    rose[-1] = True
    return [
        {"at": int(history.evaluations[i]), "score": run.shown(best[i]), "stage": history.stage}
        for i in np.flatnonzero(rose & ~np.isnan(best))
    ]


def _means(run: Run, history: History) -> list[dict[str, Any]]:
    middle, means = history.means()
    some = sample(np.zeros(len(means), dtype=np.bool_), 400)
    if all(len(part) < 2 for part in history.split()):
        return []
    return [
        {"at": float(middle[i]), "score": run.shown(means[i]), "stage": history.stage} for i in some
    ]


def _layers(
    run: Run, domain: Sequence[float], last: int, kinds: Sequence[str]
) -> list[dict[str, Any]]:
    x = {
        "field": "at",
        "type": "quantitative",
        "title": "evaluations",
        "scale": {"domain": [0, last + 1], "nice": False},
        "axis": {"grid": False, "tickMinStep": 1},
    }
    y = {
        "type": "quantitative",
        "title": run.metric,
        "scale": {"domain": list(domain), "nice": False, "zero": False},
    }
    step = {"type": "line", "interpolate": "step-after", "strokeWidth": 2.4, "color": PALETTE[0]}
    mean = {
        "type": "line",
        "strokeWidth": 1.4,
        "color": PALETTE[1],
        "point": {"size": 12, "color": PALETTE[1]},
    }
    rule = {"type": "rule", "color": FAINT, "strokeDash": [5, 3], "tooltip": True}
    name = {"type": "text", "align": "right", "dx": -4, "baseline": "bottom", "color": INK}
    named = [{"field": "name", "title": "baseline"}, {"field": "score", "title": "score"}]
    stage = {"detail": {"field": "stage"}}
    return [
        {
            "data": {"name": "baselines"},
            "mark": rule,
            "encoding": {"y": {**y, "field": "score"}, "tooltip": named},
        },
        {"data": {"name": "candidates"}, "mark": {"type": "point", "filled": True},
         "encoding": {"x": x, "y": {**y, "field": "place"}, **_point(kinds)}},
        {"data": {"name": "means"}, "mark": mean,
         "encoding": {"x": x, "y": {**y, "field": "score"}, **stage}},
        {"data": {"name": "best"}, "mark": step,
         "encoding": {"x": x, "y": {**y, "field": "score"}, **stage}},
        {
            "data": {"name": "baselines"},
            "mark": name,
            "encoding": {
                "x": {"value": "width"},
                "y": {**y, "field": "place"},
                "text": {"field": "name"},
            },
        },
    ]  # fmt: skip


def _point(kinds: Sequence[str]) -> dict[str, Any]:
    """Return how a candidate looks, and what is said when a pointer is over it."""
    told = ("score", "generation", "position", "items", "kind")
    looks = {"color": COLOURS, "shape": SHAPES}
    scales = {
        channel: {"domain": kinds, "range": [look[KINDS.index(kind)] for kind in kinds]}
        for channel, look in looks.items()
    }
    return {
        **{
            channel: {"field": "kind", "type": "nominal", "title": None, "scale": scale}
            for channel, scale in scales.items()
        },
        "size": {"condition": {"test": "datum.kind == 'winner'", "value": 130}, "value": 26},
        "tooltip": [{"field": field} for field in told],
    }
