"""How the best scores of compared runs rose, against what the reader chooses."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evoforge.report.curves import AXES, SAID, band
from evoforge.report.groups import grouped
from evoforge.report.html.comparison_charts import evenly, ink, shown, tips, unit
from evoforge.report.html.markup import Html, data, join
from evoforge.report.html.page import chart
from evoforge.report.runs import Comparison

# Encodings that tell groups apart.
Ink = Mapping[str, Any]
# Of so many groups the ranges hide each other, until one is chosen.
CROWD = 6
# Steps of a curve that are kept.
MOST_STEPS = 250
CHOSEN = "chosen"
X = {"field": "at", "type": "quantitative", "title": None, "axis": {"tickCount": 8}}
ONLY: list[dict[str, Any]] = [{"filter": "datum.axis === against"}]
FADED = {"condition": {"param": CHOSEN, "value": 1.0}, "value": 0.04}


def curves(found: Comparison) -> Html:
    """Return how the best score of each group rose, against what the reader chooses."""
    rows, ends, groups = [], [], grouped(found)
    for label, members in groups.items():
        runs = [run for _, run in members]
        tested = [run.test["score"] for run in runs if run.test is not None]
        for axis in AXES:
            one = band([run.curve for run in runs if run.curve is not None], axis)
            if one is None:
                continue
            place = {"group": label, "axis": axis}
            for i in evenly(one.x.size, MOST_STEPS):
                ends_of = {"low": shown(found, one.low[i]), "high": shown(found, one.high[i])}
                mean = {"at": round(float(one.x[i]), 2), "mean": shown(found, one.mean[i])}
                rows.append({**place, **mean, **ends_of, "runs": int(one.count[i])})
            if tested:
                at = {
                    "at": round(float(one.x[-1]), 2),
                    "test": shown(found, float(np.mean(tested))),
                }
                ends.append({**place, **at})
    if not rows:
        return Html("")
    drawn = {str(row["group"]) for row in rows}
    colour = ink(list(groups), list(drawn))
    said = (
        "Mean and range over the seeds; ◆ is the mean test score of their winners, which the "
        "search did not see. Seconds are those of merging, answering and scoring, workers summed "
        "up: they depend on the machine. Runs that are not finished count as far as they got. "
        "Click a name to see it alone."
    )
    title = "Best score so far on the search items."
    spec = _spec(unit(found), colour, len(drawn) >= CROWD, tested=bool(ends))
    sets = [data("curves", rows), *([data("tested", ends)] if ends else [])]
    return join([*sets, chart("curves", spec, title=title, said=said)])


def _spec(name: str, colour: Ink, crowd: bool, *, tested: bool) -> dict[str, Any]:
    labels = [SAID[axis] for axis in AXES]
    bind = {"input": "radio", "options": list(AXES), "labels": labels, "name": "against "}
    params = [{"name": "against", "value": AXES[0], "bind": bind}]
    base = {"height": 340, "data": {"name": "curves"}, "params": params, "transform": ONLY}
    ends = [_ends(name, colour)] if tested else []
    return {**base, "layer": [*_layers(name, colour, crowd), *ends]}


def _layers(name: str, colour: Ink, crowd: bool) -> list[dict[str, Any]]:
    """Return the ranges, the means, and what one points at to read them."""
    y = _y(name)
    select = {"type": "point", "fields": ["group"]}
    seen = {"param": CHOSEN, "value": 0.2, "empty": False}
    ranges = {"condition": seen, "value": 0.02 if crowd else 0.12}
    area = {"x": X, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour["color"]}
    return [
        {
            "mark": {"type": "area", "interpolate": "step-after"},
            "encoding": {**area, "opacity": ranges},
        },
        {
            "params": [{"name": CHOSEN, "select": select, "bind": "legend"}],
            "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
            "encoding": {"x": X, "y": y, **colour, "opacity": FADED},
        },
        {
            "mark": {"type": "point", "opacity": 0, "size": 120},
            "encoding": {"x": X, "y": y}
            | {"tooltip": tips("group", "at", "mean", "low", "high", "runs")},
        },
    ]


def _ends(name: str, colour: Ink) -> dict[str, Any]:
    """Return the test scores, where the curves end."""
    encoding = {"x": X, "y": {**_y(name), "field": "test"}, "color": colour["color"]}
    return {
        "data": {"name": "tested"},
        "transform": ONLY,
        "mark": {"type": "point", "shape": "diamond", "filled": True, "size": 110},
        "encoding": {**encoding, "opacity": FADED, "tooltip": tips("group", "test")},
    }


def _y(name: str) -> dict[str, Any]:
    return {"field": "mean", "type": "quantitative", "title": name, "scale": {"zero": False}}
