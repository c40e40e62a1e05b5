"""The front of a search for several goals, and the archives of one for many kinds of models."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evoforge.report.archive_plot import archives
from evoforge.report.front import Front, front, searched
from evoforge.report.html.fitness import sample
from evoforge.report.html.markup import Html, data, grid, join, paragraph, table
from evoforge.report.html.page import PALETTE, RAMP, chart
from evoforge.report.html.run import Run

# Models of the search that are drawn behind the front, and archives.
MOST, MAX_ARCHIVES = 2000, 8


def goals(run: Run) -> Html:
    """Return the front and the archives of a run; nothing of a search with one goal."""
    parts = []
    found = front(run.record)
    if found is not None:
        parts.append(_front(run, found))
    held = archives(run.record)
    if held is not None:
        parts.append(_archives(run, *held))
    return join(parts)


def _front(run: Run, found: Front) -> Html:
    names = list(found.objectives)
    body = [
        [
            ", ".join(member.names),
            *(f"{member.values[name]:.4g}" for name in names),
            member.candidate or "recommended",
        ]
        for member in found.members
    ]
    ways = ", ".join(f"{name} ({way})" for name, way in found.objectives.items())
    said = (
        f"Goals: {ways}; values on the select items, which all finalists answered. Nothing found "
        "is better in every goal. Any of them is made by: python -m evoforge.pick FOLDER NAME."
    )
    head = ["name", *names, "candidate"]
    parts = [paragraph(said), table(head, body, numbers=range(1, len(names) + 1))]
    first, *others = names
    parts.append(grid(_scatter(run, found, (other, first), n) for n, other in enumerate(others)))
    return join(parts)


def _scatter(run: Run, found: Front, names: Sequence[str], number: int) -> Html:
    """Return a chart of two goals: the search's models, and the front's."""
    told = list(searched(run.record, found.stage, names).values())
    kept = sample(np.zeros(len(told), dtype=np.bool_), MOST)
    behind = [{"first": told[i][0], "second": told[i][1]} for i in kept]
    ahead = [
        {
            "first": member.values[names[0]],
            "second": member.values[names[1]],
            "name": ", ".join(member.names),
            "label": ", ".join(name for name in member.names if not name.startswith("front-")),
        }
        for member in found.members
    ]
    x = _axis("first", names[0])
    y = _axis("second", names[1])
    label = {"x": x, "y": y, "text": {"field": "label"}}
    fields = [("first", names[0]), ("second", names[1])]
    plain = [{"field": field, "title": title} for field, title in fields]
    front_line = {
        "mark": {"type": "point", "filled": True, "shape": "diamond", "size": 110, "opacity": 1,
                 "color": PALETTE[0]},
        "encoding": {"x": x, "y": y, "tooltip": [{"field": "name"}, *plain]},
    }  # fmt: skip
    spec = {
        "height": 340,
        "layer": [
            {
                "data": {"values": behind},
                "mark": {"type": "point", "filled": True, "size": 22, "color": "var(--dot)"},
                "encoding": {"x": x, "y": y, "tooltip": plain},
            },
            {"data": {"values": ahead}, **front_line},
            {
                "data": {"values": ahead},
                "mark": {"type": "text", "align": "left", "dx": 9, "fontSize": 10},
                "encoding": label,
            },
        ],
    }
    said = "Dots: what the search was told of each model; diamonds: the front on the select items."
    title = "The front."
    return chart(f"front-{number}", spec, title=title, said=said, canvas=len(behind) > 1500)


def _axis(field: str, title: str) -> dict[str, Any]:
    scale = {"zero": False}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale}


def _archives(run: Run, stage: str, every: Sequence[Mapping[str, Any]]) -> Html:
    """Return a map for each archive."""
    history = next((h for h in run.stages if h.stage == stage), None)
    won = None if history is None else run.winner(history)
    recipe = None if history is None or won is None else history.candidates[won].recipe
    asked = [c.recipe for c in run.record.candidates(genomes=False) if c.stage == stage]
    winners = {number for number, key in enumerate(asked) if key == recipe}
    charts = []
    for number, archive in enumerate(every[:MAX_ARCHIVES]):
        rows = cells(archive, winners)
        shown = archive["axes"][:2]
        title = f"Best {archive['quality']} of each kind."
        coverage = f"{100 * archive['coverage']:.0f} % of the cells are held"
        more = "; the best over the other axes" if len(archive["axes"]) > 2 else ""
        key = f"archive-{number}"
        spec = _archive(key, shown, str(archive["quality"]))
        charts.append(join([data(key, rows), chart(key, spec, title=title, said=coverage + more)]))
    return grid(charts)


def cells(archive: Mapping[str, Any], winners: set[int]) -> list[dict[str, Any]]:
    """Return the cells that are held, the best of those that look the same on two axes.

    Args:
        archive: as an optimizer tells it: `axes`, `bins` and `cells`.
        winners: the numbers of the winner, in the order asked.
    """
    axes, bins = archive["axes"][:2], archive["bins"]
    best: dict[tuple[int, ...], tuple[float, int]] = {}
    for cell, value, number in archive["cells"]:
        place = tuple(cell[:2])
        if place not in best or value > best[place][0]:
            best[place] = value, number
    rows = []
    for place, (value, number) in best.items():
        row = {"value": float(f"{value:.5g}"), "winner": number in winners}
        for name, axis, at in zip("xy", axes, place, strict=False):
            step = (axis["high"] - axis["low"]) / bins
            row[name] = axis["low"] + at * step
            row[f"{name}-end"] = axis["low"] + (at + 1) * step
        rows.append(row if len(axes) > 1 else {**row, "y": 0.0, "y-end": 1.0})
    return rows


def _archive(name: str, axes: Sequence[Mapping[str, Any]], quality: str) -> dict[str, Any]:
    def place(field: str, axis: Mapping[str, Any]) -> dict[str, Any]:
        # All that there could be, so that empty cells are seen.
        scale = {"domain": [axis["low"], axis["high"]], "nice": False, "zero": False}
        found = {"field": field, "type": "quantitative", "title": axis["name"], "scale": scale}
        return found | ({} if axis["name"] else {"axis": None})

    first, second = axes if len(axes) > 1 else (axes[0], {"name": None, "low": 0, "high": 1})
    colour = {
        "field": "value",
        "type": "quantitative",
        "title": quality,
        "scale": {"range": list(RAMP[1:])},
        "legend": {"gradientLength": 100},
    }
    edge = {"condition": {"test": "datum.winner", "value": PALETTE[1]}, "value": None}
    told = [{"field": "value", "title": quality}]
    told += [
        {"field": field, "title": axis["name"]} for field, axis in zip("xy", axes, strict=False)
    ]
    return {
        "height": 260,
        "data": {"name": name},
        "mark": {"type": "rect", "strokeWidth": 3},
        "encoding": {
            "x": place("x", first),
            "x2": {"field": "x-end"},
            "y": place("y", second),
            "y2": {"field": "y-end"},
            "color": colour,
            "stroke": edge,
            "tooltip": told,
        },
    }
