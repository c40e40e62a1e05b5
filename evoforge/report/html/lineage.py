"""The family tree of the winner: which genomes it was made of, by what, and how good they were."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evoforge.origin import Descent
from evoforge.report.figure import spread
from evoforge.report.history import History
from evoforge.report.html.markup import Html, data, element, join, paragraph, table
from evoforge.report.html.page import FAINT, INK, RAMP, chart
from evoforge.report.html.run import Run

# A candidate by its generation and position.
Place = tuple[int, int]
# Ancestors that are drawn, the youngest first; their scores are written beside so many.
MOST, MOST_NAMED = 160, 40
# Pixels for each of the most that stand above each other, and at least and at most.
ROOM, LEAST_HIGH, HIGHEST = 56, 170, 460


@dataclass(frozen=True)
class Tree:
    """An ancestry.

    Args:
        nodes: where each comes from, the winner first; parents that are not drawn are left out.
        left: how many ancestors are not drawn.
    """

    nodes: Mapping[Place, Descent]
    left: int


def lineage(run: Run) -> Html:
    """Return the winner's family tree for each search that it is of, and what operators brought."""
    parts = []
    for number, history in enumerate(run.stages):
        origins = run.record.origins(history.stage)
        head = [element("h3", f"Search {history.stage}")] if len(run.stages) > 1 else []
        said = _said(run, history, origins)
        if said is not None:
            parts.append(join([*head, paragraph(said), _operators(run, history, origins)]))
            continue
        won = run.winner(history)
        assert won is not None  # else there was something to say
        candidate = history.candidates[won]
        found = tree(history, origins, (candidate.generation, candidate.position))
        parts.append(
            join([*head, _drawn(run, history, found, number), _operators(run, history, origins)])
        )
    return join(parts)


def _said(run: Run, history: History, origins: Mapping[Place, Descent]) -> str | None:
    """Return why there is no tree; None if there is one."""
    optimizer = history.info.get("optimizer", "This optimizer")
    if not any(origin.parents for origin in origins.values()):
        return f"{optimizer} makes candidates without parents, so there is no family tree."
    if run.result["winner"] is None:
        return "There is no winner yet."
    won = run.winner(history)
    if won is None:
        return "The winner is what the optimizer recommends, none of the candidates it asked."
    candidate = history.candidates[won]
    origin = origins.get((candidate.generation, candidate.position))
    if origin is None or not origin.parents:
        made = "unknown means" if origin is None else origin.operator
        return f"The winner has no parents: generation {candidate.generation} made it by {made}."
    return None


def tree(history: History, origins: Mapping[Place, Descent], winner: Place) -> Tree:
    """Return the ancestors of a candidate, the youngest of them where there are too many.

    One that was carried over as it is, as an elite, is the same as the one it comes from.
    """
    genomes = {(c.generation, c.position): c.genome.tobytes() for c in history.candidates}

    def first(place: Place) -> Place:
        while True:
            parents = origins[place].parents if place in origins else ()
            same = len(parents) == 1 and parents[0] < place
            if not same or genomes.get(parents[0], b"") != genomes.get(place):
                return place
            place = parents[0]

    waiting, nodes = {first(winner)}, dict[Place, Descent]()
    while waiting and len(nodes) < MOST:
        place = max(waiting)
        waiting.remove(place)
        origin = origins.get(place, Descent("unknown"))
        parents = tuple(dict.fromkeys(map(first, origin.parents)))
        nodes[place] = Descent(origin.operator, parents)
        waiting |= {parent for parent in parents if parent not in nodes}
    kept = {
        place: Descent(origin.operator, tuple(p for p in origin.parents if p in nodes))
        for place, origin in nodes.items()
    }
    return Tree(kept, len(waiting))


def layout(found: Tree) -> dict[Place, float]:
    """Return a height between 0 and 1 for each node, parents near the middle of their children."""
    layers: dict[int, list[Place]] = {}
    children: dict[Place, list[Place]] = {}
    for place, origin in found.nodes.items():
        layers.setdefault(place[0], []).append(place)
        for parent in origin.parents:
            children.setdefault(parent, []).append(place)
    heights: dict[Place, float] = {}
    for generation in sorted(layers, reverse=True):
        layer = sorted(layers[generation])
        # A child of the same generation may have no height yet.
        wanted = [
            float(np.mean([heights.get(child, 0.5) for child in children.get(place, [])] or [0.5]))
            for place in layer
        ]
        gap = 1 / max(4, len(layer))
        for place, height in zip(layer, spread(wanted, gap, 0.04, 0.96), strict=True):
            heights[place] = height
    return heights


def _drawn(run: Run, history: History, found: Tree, number: int) -> Html:
    heights = layout(found)
    at = {(c.generation, c.position): i for i, c in enumerate(history.candidates)}
    # Generations that nobody comes from take no room.
    columns = {g: n for n, g in enumerate(sorted({place[0] for place in found.nodes}))}
    winner = next(iter(found.nodes))
    nodes = []
    for place, origin in found.nodes.items():
        index = at.get(place)
        nodes.append(
            {
                "column": columns[place[0]],
                "height": round(heights[place], 4),
                "generation": place[0],
                "candidate": place[1],
                "operator": origin.operator,
                "score": None if index is None else run.shown(history.scores[index]),
                "parents": ", ".join(f"{g}.{p}" for g, p in origin.parents) or "none drawn",
                "winner": place == winner,
            }
        )
    edges = [
        {
            "column": columns[parent[0]],
            "height": round(heights[parent], 4),
            "end": columns[place[0]],
            "top": round(heights[place], 4),
        }
        for place, origin in found.nodes.items()
        for parent in origin.parents
    ]
    older = f" {found.left} older ancestors are left out." if found.left else ""
    said = (
        "From left to right by generation; the shape says what made a candidate, the colour how it "
        f"scored on its generation's search items, which differ between generations.{older}"
    )
    names = (f"nodes-{number}", f"edges-{number}")
    tallest = max(Counter(node["column"] for node in nodes).values())
    high = min(HIGHEST, max(LEAST_HIGH, ROOM * tallest))
    spec = _spec(run, names, list(columns), high, few=len(nodes) <= MOST_NAMED)
    return join(
        [
            data(names[0], nodes),
            data(names[1], edges),
            chart(f"lineage-{number}", spec, title="The winner's family tree.", said=said),
        ]
    )


def _spec(
    run: Run, names: tuple[str, str], generations: list[int], high: int, *, few: bool
) -> dict[str, Any]:
    x = {
        "field": "column",
        "type": "quantitative",
        "title": "generation",
        "scale": {"domain": [-0.4, len(generations) - 0.6], "nice": False},
        "axis": _ticks(generations),
    }
    y = {"field": "height", "type": "quantitative", "axis": None, "scale": {"domain": [0, 1]}}
    colour = {
        "field": "score",
        "type": "quantitative",
        "title": run.metric,
        "scale": {"range": list(RAMP[1:])} if run.higher else {"range": list(RAMP[:0:-1])},
        "legend": {"gradientLength": 110},
    }
    told = ("generation", "candidate", "operator", "score", "parents")
    points = {
        "x": x,
        "y": y,
        "color": colour,
        "shape": {
            "field": "operator",
            "type": "nominal",
            "title": None,
            "legend": {"orient": "bottom", "symbolFillColor": INK},
        },
        "size": {"condition": {"test": "datum.winner", "value": 320}, "value": 110},
        "tooltip": [{"field": field} for field in told],
    }
    line = {"x": x, "y": y, "x2": {"field": "end"}, "y2": {"field": "top"}}
    text = {"x": x, "y": y, "text": {"field": "score"}}
    layers = [
        {
            "data": {"name": names[1]},
            "mark": {"type": "rule", "color": FAINT, "opacity": 0.5},
            "encoding": line,
        },
        {
            "data": {"name": names[0]},
            "mark": {"type": "point", "filled": True, "opacity": 1},
            "encoding": points,
        },
    ]
    if few:
        mark = {"type": "text", "dy": -13, "fontSize": 10, "color": INK}
        layers.append({"data": {"name": names[0]}, "mark": mark, "encoding": text})
    return {"height": high, "layer": layers}


def _ticks(generations: list[int]) -> dict[str, Any]:
    """Return an axis that names generations at their columns."""
    # Numbers of our own, so that the expression holds no text of anybody.
    return {
        "grid": False,
        "values": list(range(len(generations))),
        "labelExpr": f"{generations}[datum.value]",
    }


def _operators(run: Run, history: History, origins: Mapping[Place, Descent]) -> Html:
    """Return how often each operator was used, and how often it beat all parents."""
    at = {(c.generation, c.position): i for i, c in enumerate(history.candidates)}
    found: dict[str, list[tuple[float, bool | None]]] = {}
    for place, origin in origins.items():
        index = at.get(place)
        if index is None or not history.scored[index]:
            continue
        known = [history.fitness[at[p]] for p in origin.parents if p in at]
        beat = bool(history.fitness[index] > max(known)) if known else None
        found.setdefault(origin.operator, []).append((float(history.scores[index]), beat))
    if len(found) < 2:
        return Html("")
    body = []
    for operator, each in sorted(found.items(), key=lambda pair: -len(pair[1])):
        beaten = [beat for _, beat in each if beat is not None]
        share = f"{np.mean(beaten):.0%}" if beaten else None
        mean = run.scale.number(float(np.mean([score for score, _ in each])))
        body.append([operator, f"{len(each):,}", mean, share])
    head = ["made by", "candidates", "mean score", "better than all parents"]
    said = (
        "Generations may answer different items: an elite, its parent again, is better than it by "
        "chance alone."
    )
    return join([table(head, body, numbers={1, 2, 3}), paragraph(said)])
