"""All genes of the candidates at once, as lines to be chosen by score and time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evoforge.report.history import Floats, History
from evoforge.report.html.fitness import sample
from evoforge.report.html.genes import label
from evoforge.report.html.markup import Html, data, element, join
from evoforge.report.html.page import RAMP, chart
from evoforge.report.html.run import Run

# More lines are one grey, more axes have no room.
MAX_LINES, MAX_AXES = 1500, 30
# Of these the best are always drawn.
BEST = 200


def candidates(run: Run) -> Html:
    """Return parallel coordinates of each search; nothing before three candidates have scores."""
    parts = []
    for number, history in enumerate(run.stages):
        scored = np.flatnonzero(~np.isnan(history.finished))
        if len(scored) < 3 or not history.names:
            continue
        if len(run.stages) > 1:
            parts.append(element("h3", f"Search {history.stage}"))
        parts.append(_parallel(run, history, scored, number))
    return join(parts)


def _parallel(run: Run, history: History, scored: NDArray[np.intp], number: int) -> Html:
    order = scored[np.argsort(-history.fitness[scored], kind="stable")]
    needed = np.isin(scored, order[:BEST])
    won = run.winner(history)
    chosen = scored[sample(needed | (scored == won), MAX_LINES)]
    genomes = np.array([history.candidates[i].genome for i in chosen], dtype=np.float64)
    axes = telling(genomes, history.fitness[chosen])
    rows = [
        {
            "id": int(i),
            "at": int(history.evaluations[i]),
            "score": run.shown(history.scores[i]),
            "winner": bool(i == won),
            **{f"g{n}": round(float(genome[axis]), 3) for n, axis in enumerate(axes)},
        }
        for i, genome in zip(chosen, genomes, strict=True)
    ]
    names = [label(history.names[axis]) for axis in axes]
    few = len(axes) < len(history.names)
    said = (
        f"A line is a candidate, an axis a gene between its bounds{_some(len(axes), few)}; the "
        "stronger the better, the thick line is the winner. Draw a box in the lower chart to see "
        "only the candidates of some scores and times; click there to see all."
    )
    name = f"lines-{number}"
    spec = _spec(run, name, names)
    title = "Genes of the candidates."
    return join(
        [data(name, rows), chart(f"parallel-{number}", spec, title=title, said=said, canvas=True)]
    )


def _some(count: int, few: bool) -> str:
    return f" (the {count} that tell most of the score)" if few else ""


def telling(genomes: Floats, fitness: Floats) -> list[int]:
    """Return the genes to draw: all if there are few, else those that go with fitness most.

    Args:
        genomes: (n, dim).
        fitness: (n,).
    """
    if genomes.shape[1] <= MAX_AXES:
        return list(range(genomes.shape[1]))
    # Ranks, for fitness may fall without a floor.
    ranks = np.argsort(np.argsort(fitness)) - (len(fitness) - 1) / 2
    away = genomes - genomes.mean(axis=0)
    size = np.sqrt((away**2).sum(axis=0))
    together = np.abs(ranks @ away) / np.maximum(size, 1e-12)
    return sorted(np.argsort(-together, kind="stable")[:MAX_AXES].tolist())


def _spec(run: Run, name: str, names: list[str]) -> dict[str, Any]:
    fields = [f"g{n}" for n in range(len(names))]
    colour = {
        "field": "score",
        "type": "quantitative",
        "title": run.metric,
        "scale": {"range": list(RAMP[1:])} if run.higher else {"range": list(RAMP[:0:-1])},
        "legend": {"gradientLength": 140},
    }
    x = {
        "field": "axis",
        "type": "ordinal",
        "sort": names,
        "title": None,
        "axis": {"labelAngle": -40, "labelLimit": 120, "grid": True, "labelOverlap": True},
        "scale": {"padding": 0.2},
    }
    y: dict[str, Any] = {"field": "value", "type": "quantitative", "title": "between the bounds"}
    y["scale"] = {"domain": [0, 1]}
    chosen = {"param": "chosen"}
    lines = {
        "x": x,
        "y": y,
        "detail": {"field": "id"},
        "color": colour,
        "size": {"condition": {"test": "datum.winner", "value": 4}, "value": 1},
        "opacity": {"condition": {"test": "datum.winner", "value": 1}, "value": 0.35},
        "order": {"field": "number", "type": "quantitative"},
    }
    points: dict[str, Any] = {
        "x": {"field": "at", "type": "quantitative", "title": "evaluations"},
        "y": {"field": "score", "type": "quantitative", "title": "score", "scale": {"zero": False}},
        "color": {"condition": {**chosen, **colour}, "value": "var(--dot)"},
        "tooltip": [{"field": field} for field in ("at", "score")],
    }
    axes = [{"n": n, "axis": axis} for n, axis in enumerate(names)]
    unfold = [
        {"filter": chosen},
        {"fold": fields, "as": ["field", "value"]},
        {"calculate": "toNumber(slice(datum.field, 1))", "as": "number"},
        {"lookup": "number", "from": {"data": {"values": axes}, "key": "n", "fields": ["axis"]}},
    ]
    return {
        "data": {"name": name},
        "vconcat": [
            {"height": 300, "transform": unfold, "mark": {"type": "line"}, "encoding": lines},
            {
                "height": 110,
                "params": [{"name": "chosen", "select": {"type": "interval"}}],
                "mark": {"type": "point", "filled": True, "size": 22},
                "encoding": points,
            },
        ],
    }
