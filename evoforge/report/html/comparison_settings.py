"""The settings of compared runs beside their test scores, as parallel coordinates."""

from collections.abc import Sequence
from typing import Any

from evoforge.report.difference import SEED
from evoforge.report.html.comparison_charts import shown, tips, unit
from evoforge.report.html.markup import Html, data, join
from evoforge.report.html.page import RAMP, chart
from evoforge.report.runs import Comparison
from evoforge.report.summary import higher

# Axes that are drawn, and values that are named on one.
MOST_AXES, MOST_VALUES = 8, 24


def settings(found: Comparison) -> Html:
    """Return parallel coordinates of the runs: the settings that differ, and the test score."""
    pairs = zip(found.runs, found.settings, strict=True)
    runs = [(run, own) for run, own in pairs if run.test and run.name not in found.odd]
    names = [name for name in found.names if len({str(own[name]) for _, own in runs}) > 1]
    chosen = ([name for name in names if name != SEED] or names)[:MOST_AXES]
    if len(runs) < 3 or not chosen:
        return Html("")
    lines: list[dict[str, Any]] = []
    marks: list[dict[str, Any]] = []
    tested = [shown(found, run.test["score"]) for run, _ in runs if run.test]
    columns = [(name, [own[name] for _, own in runs]) for name in chosen]
    for axis, values in [*columns, ("test score", tested)]:
        places, ticks = placed(values)
        marks += [{"axis": axis, "place": place, "said": said} for place, said in ticks]
        for (run, _), place, value, score in zip(runs, places, values, tested, strict=True):
            here = {"axis": axis, "place": place, "said": f"{axis}: {_text(value)}"}
            lines.append({"run": run.name, "score": score, **here})
    axes = [*chosen, "test score"]
    return join(
        [
            data("settings", lines),
            data("marks", marks),
            chart(
                "settings",
                _settings(
                    unit(found), axes, all(higher(run.result) for run, _ in runs if run.result)
                ),
                title="Settings of the runs.",
                said="A line is a run, an axis a setting that differs; the stronger the better.",
            ),
        ]
    )


def _settings(name: str, axes: Sequence[str], up: bool) -> dict[str, Any]:
    x: dict[str, Any] = {"field": "axis", "type": "ordinal", "sort": list(axes), "title": None}
    x["axis"] = {"labelAngle": 0, "labelLimit": 110, "grid": True, "domain": False, "ticks": False}
    y: dict[str, Any] = {
        "field": "place",
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": [-0.08, 1.08]},
    }
    colour: dict[str, Any] = {"field": "score", "type": "quantitative", "title": name}
    colour["scale"] = {"range": list(RAMP[1:] if up else RAMP[:0:-1])}
    colour["legend"] = {"type": "gradient", "gradientLength": 140}
    text = {"type": "text", "align": "left", "dx": 6, "fontSize": 11, "limit": 90}
    halo = {**text, "stroke": "var(--page)", "strokeWidth": 4, "strokeJoin": "round"}
    said = {"x": x, "y": y, "text": {"field": "said"}}
    line = {"type": "line", "strokeWidth": 2, "opacity": 0.75}
    dot = {"type": "point", "filled": True, "size": 40, "opacity": 1}
    both = {"x": x, "y": y, "color": colour}
    return {
        "height": 300,
        "layer": [
            {
                "data": {"name": "settings"},
                "mark": line,
                "encoding": both | {"detail": {"field": "run"}},
            },
            {
                "data": {"name": "settings"},
                "mark": dot,
                "encoding": both | {"tooltip": tips("run", "score", "said")},
            },
            {"data": {"name": "marks"}, "mark": halo, "encoding": said},
            {"data": {"name": "marks"}, "mark": text, "encoding": said},
        ],
    }


def placed(values: Sequence[Any]) -> tuple[list[float], list[tuple[float, str]]]:
    """Return where values lie on an axis, from 0 to 1, and which places are named there how.

    >>> placed([4, 8, 5])
    ([0.0, 1.0, 0.25], [(0.0, '4'), (1.0, '8')])
    >>> placed(["ties", "dare", "ties"])
    ([1.0, 0.0, 1.0], [(0.0, 'dare'), (1.0, 'ties')])
    """
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) == len(values) and max(numbers) > min(numbers):
        low, high = min(numbers), max(numbers)
        ends = [(0.0, _text(low)), (1.0, _text(high))]
        return [(value - low) / (high - low) for value in values], ends
    known = sorted({_text(value) for value in values})
    step = 1 / max(1, len(known) - 1)
    at = {value: round(number * step, 4) for number, value in enumerate(known)}
    ticks = [(at[value], value) for value in known] if len(known) <= MOST_VALUES else []
    return [at[_text(value)] for value in values], ticks


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())[:60]
