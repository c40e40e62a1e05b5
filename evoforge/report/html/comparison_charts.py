"""The charts of a comparison: test scores and ranks, and what all its charts share.

Knows compared runs; each function returns a chart with its data, or nothing where it has nothing to
show. Scores are in percent where that makes sense.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evoforge.report.comparison_table import scale
from evoforge.report.groups import grouped
from evoforge.report.html.markup import Html, data, join
from evoforge.report.html.page import FAINT, LINE, PALETTE, chart
from evoforge.report.ranks import Ranking
from evoforge.report.runs import Comparison
from evoforge.report.summary import higher, metric

# Second and third time round the colours: their lines are dashed.
DASHES = ((1, 0), (6, 3), (2, 2))
# Rows have their height, the page gives the width.
FIT = {"type": "fit-x", "contains": "padding"}
# Labels of rows, and columns of names: there is less room on a telephone.
LABEL = {"expr": "containerSize()[0] < 500 ? 130 : 240"}
COLUMNS = {"expr": "max(1, floor(containerSize()[0] / 190))"}


def unit(found: Comparison) -> str:
    """Return the metric with its unit, as an axis names it."""
    results = [run.result for run in found.runs if run.result]
    name = metric(results[0]) if results else "score"
    better = "" if all(map(higher, results)) else " (lower is better)"
    return f"{name}{', percent' if scale(found).percent else ''}{better}"


def shown(found: Comparison, score: float) -> float:
    """Return a score as charts show it."""
    return round(100 * score, 2) if scale(found).percent else float(f"{score:.5g}")


def ink(
    groups: Sequence[str], chosen: Sequence[str] | None = None, *, legend: bool = True
) -> dict[str, Any]:
    """Return the encodings that tell groups apart: a colour, and dashes where colours run out.

    Args:
        groups: all of the comparison, so that each has its colour in every chart.
        chosen: those of the chart; None: all.
        legend: whether to name them.
    """
    look = {"symbolType": "stroke", "symbolStrokeWidth": 3, "symbolOpacity": 1, "columns": COLUMNS}
    own = {"field": "group", "type": "nominal", "title": None, "legend": look if legend else None}
    known = [(n, group) for n, group in enumerate(groups) if chosen is None or group in chosen]
    domain = [group for _, group in known]
    inks = [PALETTE[n % len(PALETTE)] for n, _ in known]
    found: dict[str, Any] = {"color": {**own, "scale": {"domain": domain, "range": inks}}}
    if len(groups) > len(PALETTE):
        turns = [DASHES[(n // len(PALETTE)) % len(DASHES)] for n, _ in known]
        found["strokeDash"] = {**own, "scale": {"domain": domain, "range": turns}}
    return found


def scores(found: Comparison) -> Html:
    """Return the test score of each run's winner with its interval."""
    rows = _scores(found)
    if not rows:
        return Html("")
    x: dict[str, Any] = {"field": "low", "type": "quantitative", "title": unit(found)}
    x |= {"scale": {"zero": False}, "axis": {"tickCount": 8}}
    y = _rows("label")
    usual = {"condition": {"test": "datum.judged === 'as most'", "value": 1}, "value": 0.35}
    drawn = [row["group"] for row in rows]
    both = {"y": y, "color": ink(list(grouped(found)), drawn, legend=False)["color"]}
    both |= {"opacity": usual}
    told = {"tooltip": tips("run", "score", "low", "high", "source", "judged")}
    layers = [
        {
            "mark": {"type": "tick", "color": FAINT, "thickness": 2},
            "encoding": {"x": {**x, "field": "source"}, "y": y},
        },
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"x": x, "x2": {"field": "high"}, **both},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1},
            "encoding": {"x": {**x, "field": "score"}, **both, **told},
        },
    ]
    spec = {"autosize": FIT, "height": {"step": 18}, "data": {"name": "scores"}, "layer": layers}
    faint = " Faint: other protocol or test items, not comparable." if found.odd else ""
    said = f"With 95 % intervals over the test items; grey: the run's best source.{faint}"
    title = "Test score of each run's winner."
    return join([data("scores", rows), chart("scores", spec, title=title, said=said)])


def _scores(found: Comparison) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    taken: set[str] = set()
    best = {row["run"]: row["best_source_score"] for row in found.rows}
    for label, members in grouped(found).items():
        for own, run in members:
            if run.test is None:
                continue
            said = f"{label}, {own}" if len(members) > 1 else label
            # Two runs of one name are two rows.
            name = said if said not in taken else f"{said} ({run.name})"
            taken.add(name)
            ends = {key: shown(found, run.test[key]) for key in ("score", "low", "high")}
            source = best[run.name]
            row = {"label": name, "group": label, "run": run.name, **ends}
            row["source"] = None if source is None else shown(found, source)
            rows.append(row | {"judged": found.odd.get(run.name, "as most")})
    return rows


def _rows(field: str, order: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the encoding of names, one below the other."""
    look = {"labelLimit": LABEL, "grid": False, "ticks": False, "domain": False}
    return {"field": field, "type": "nominal", "sort": order, "title": None, "axis": look}


def ranked(ranking: Ranking, groups: Sequence[str]) -> Html:
    """Return the rank of each group in each block, and its average.

    Args:
        ranking: of the runs.
        groups: of the comparison, in the order of their colours. Where other things are ranked all
            have one colour.
    """
    rows = [
        {"group": group, "block": block, "rank": float(rank)}
        for group, own in zip(ranking.groups, ranking.ranks, strict=True)
        for block, rank in zip(ranking.blocks, own, strict=True)
    ]
    means = [
        {"group": group, "average": round(float(mean), 3)}
        for group, mean in zip(ranking.groups, ranking.average, strict=True)
    ]
    x: dict[str, Any] = {"field": "rank", "type": "quantitative", "title": "rank, 1 is the best"}
    x["scale"] = {"domain": [0.8, len(ranking.groups) + 0.2], "nice": False}
    x["axis"] = {"values": list(range(1, len(ranking.groups) + 1)), "format": "d"}
    same = all(group in groups for group in ranking.groups)
    colour = ink(groups, ranking.groups, legend=False)["color"] if same else {"value": PALETTE[0]}
    both = {"y": _rows("group", list(ranking.groups)), "color": colour}
    layers = [
        *_band(ranking, x),
        {
            "data": {"name": "ranks"},
            "mark": {"type": "point", "filled": True, "size": 30, "opacity": 0.35},
            "encoding": {"x": x, **both, "tooltip": tips("group", "block", "rank")},
        },
        {
            "data": {"name": "averages"},
            "mark": {"type": "point", "shape": "diamond", "filled": True, "size": 140},
            "encoding": {"x": {**x, "field": "average"}, **both}
            | {"opacity": {"value": 1}, "tooltip": tips("group", "average")},
        },
    ]
    said = "Dots: its rank in each block; ◆ the average over all."
    if ranking.critical is not None:
        said += (
            f" Ranks alone do not tell the groups within the grey band ({ranking.critical:.2f} "
            "wide, Nemenyi's test at 5 %) from the best."
        )
    spec = {"autosize": FIT, "height": {"step": 26}, "layer": layers}
    sets = [data("ranks", rows), data("averages", means)]
    return join([*sets, chart("ranks", spec, title="Rank of each group.", said=said)])


def _band(ranking: Ranking, x: dict[str, Any]) -> list[dict[str, Any]]:
    """Return how far from the best a group is not told from it; nothing below three groups."""
    if ranking.critical is None:
        return []
    best = float(ranking.average[0])
    span = {"low": best, "high": best + ranking.critical}
    mark = {"type": "rect", "color": LINE, "opacity": 0.5, "clip": True}
    place = {"x": {**x, "field": "low"}, "x2": {"field": "high"}}
    return [{"data": {"values": [span]}, "mark": mark, "encoding": place}]


def evenly(count: int, most: int) -> list[int]:
    """Return up to `most` positions among `count`, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [int(place) for place in np.linspace(0, count - 1, most).round()]


def tips(*fields: str) -> list[dict[str, str]]:
    """Return what is shown when one points at a mark."""
    return [{"field": field} for field in fields]
