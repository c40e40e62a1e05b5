"""What a run cost, where its time went, what failed, and what the optimizer says of itself."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evoforge.evaluation import Evaluation
from evoforge.report.history import History
from evoforge.report.html.markup import Html, data, element, grid, join, paragraph, table
from evoforge.report.html.page import chart
from evoforge.report.html.run import Run

PHASES = ("merge", "generate", "score")
# Columns of a chart; more generations are drawn several together.
MAX_STEPS = 80
MAX_REASONS = 50
ASKERS = {
    "search": "candidates and finalists",
    "select": "of these, finalists",
    "proxy": "a cheaper stand-in, to screen candidates",
    "winner": "the winner, for the report",
    "baselines": "the baselines",
}


def timings(run: Run) -> Html:
    """Return where the seconds went, by phase and generation, and who asked for answers."""
    seconds, counts = run.result["seconds"], run.result["counts"]
    total = seconds["total"] or 1.0
    phases = [[p, f"{s:,.1f}", f"{s / total:.1%}"] for p, s in seconds.items() if p != "total"]
    phases.append(["total", f"{seconds['total']:,.1f}", ""])
    asked = [[said, f"{counts[f'items_{key}']:,}"] for key, said in ASKERS.items()]
    asked.append(["all", f"{counts['items']:,}"])
    tables = grid(
        [
            table(["phase", "seconds", "share"], phases, numbers={1, 2}),
            table(["answers asked for", "count"], asked, numbers={1}),
        ]
    )
    rows = _steps(run)
    if not rows:
        return tables
    stacked = [{"at": row["at"], "phase": p, "seconds": row[p]} for row in rows for p in PHASES]
    charts = grid(
        [
            chart("phases", _phases(), title="Seconds of an evaluation,", said="mean, by phase."),
            chart("pace", _pace(), title="Evaluations a minute", said="of one worker."),
        ]
    )
    return join([data("phases", stacked), data("paces", rows), tables, charts])


def _steps(run: Run) -> list[dict[str, Any]]:
    """Return the mean seconds of evaluations by phase, for each few generations."""
    known = run.record.evaluations()
    found = []
    for history in run.stages:
        parts = history.split()
        for group in np.array_split(np.arange(len(parts)), min(MAX_STEPS, len(parts))):
            chosen = [i for number in group for i in parts[number]]
            spent = [e for i in chosen if (e := _own(history, i, known)) is not None]
            if not spent:
                continue
            row = {p: sum(e.seconds.get(p, 0.0) for e in spent) / len(spent) for p in PHASES}
            whole = sum(row.values())
            pace = round(60 / whole, 2) if whole > 0 else None
            at = float(np.mean(history.evaluations[chosen]))
            found.append(
                {"at": round(at, 1), **{p: round(s, 4) for p, s in row.items()}, "pace": pace}
            )
    return found


def _own(history: History, place: int, known: Mapping[int, Evaluation]) -> Evaluation | None:
    """Return a candidate's evaluation if it was made for it, None if it was there before."""
    candidate = history.candidates[place]
    assert candidate.evaluation is not None  # a history is of those that were judged
    return None if candidate.cached else known[candidate.evaluation]


def _x() -> dict[str, Any]:
    return {"field": "at", "type": "quantitative", "title": "evaluations", "axis": {"grid": False}}


def _phases() -> dict[str, Any]:
    colour = {"field": "phase", "type": "nominal", "title": None, "sort": list(PHASES)}
    y = {"field": "seconds", "type": "quantitative", "title": "seconds", "stack": True}
    told = [{"field": field} for field in ("phase", "seconds", "at")]
    return {
        "height": 180,
        "data": {"name": "phases"},
        "mark": {"type": "area", "opacity": 0.85},
        "encoding": {"x": _x(), "y": y, "color": colour, "tooltip": told},
    }


def _pace() -> dict[str, Any]:
    y = {"field": "pace", "type": "quantitative", "title": "evaluations a minute"}
    told = [{"field": field} for field in ("pace", "at")]
    return {
        "height": 180,
        "data": {"name": "paces"},
        "mark": {"type": "line", "point": {"size": 20}},
        "encoding": {"x": _x(), "y": y, "tooltip": told},
    }


def failures(run: Run) -> Html:
    """Return what failed, by reason; nothing if nothing did."""
    found: dict[str, list[int]] = {}
    for number, evaluation in run.record.evaluations().items():
        if evaluation.status != "ok":
            found.setdefault(evaluation.reason or "no reason given", []).append(number)
    if not found:
        return Html("")
    asked = {c.evaluation: c for c in run.record.candidates(genomes=False)}
    roles = {number: f"{name}, {part} items" for (name, part), number in run.record.roles().items()}
    ranked = sorted(found.items(), key=lambda pair: -len(pair[1]))
    body = []
    for reason, numbers in ranked[:MAX_REASONS]:
        first = asked.get(numbers[0])
        where = roles.get(numbers[0], "a step on the way to a candidate")
        if first is not None:
            where = f"{first.stage}, generation {first.generation}, candidate {first.position}"
        body.append([element("span", reason[:600]), len(numbers), where])
    count, total = sum(map(len, found.values())), run.result["counts"]["evaluations"]
    said = f"{count:,} of {total:,} evaluations failed, for {len(found):,} reasons."
    head = ["reason", "count", "first"]
    return join([paragraph(said), table(head, body, numbers={1})])


def states(run: Run) -> Html:
    """Return what the optimizers said of themselves after each generation: a chart for each."""
    parts: list[Html] = []
    for stage in run.record.stages():
        told = run.record.states(stage)
        series: dict[str, list[dict[str, float]]] = {}
        for generation, content in _thinned(told).items():
            for name, value in content.items():
                if isinstance(value, int | float):
                    series.setdefault(name, []).append({"generation": generation, "value": value})
        charts = [
            chart(f"state-{len(parts)}-{place}", _state(rows), title=name.replace("_", " "))
            for place, (name, rows) in enumerate(series.items())
            if len({row["value"] for row in rows}) > 1
        ]
        if charts:
            head = [element("h3", f"Search {stage}")] if len(run.stages) > 1 else []
            parts.append(join([*head, grid(charts)]))
    return join(parts)


def _thinned(told: Mapping[int, Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """Return at most 200 of the generations, evenly."""
    step = -(-len(told) // 200) or 1
    last = max(told, default=0)
    return {g: told[g] for place, g in enumerate(told) if place % step == 0 or g == last}


def _state(rows: list[dict[str, float]]) -> dict[str, Any]:
    x: dict[str, Any] = {"field": "generation", "type": "quantitative", "title": None}
    x["axis"] = {"grid": False, "tickMinStep": 1}
    y = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}}
    return {
        "height": 110,
        "data": {"values": rows},
        "mark": {"type": "line", "point": {"size": 12}},
        "encoding": {"x": x, "y": y, "tooltip": [{"field": "generation"}, {"field": "value"}]},
    }
