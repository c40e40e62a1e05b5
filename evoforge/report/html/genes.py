"""Where the genes of a search went: a small chart for each group, or a heat map of many."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evoforge.report.course import INSIDE, SLOT, Course, course
from evoforge.report.history import Floats, History, parse, values
from evoforge.report.html.markup import Html, data, element, grid, join
from evoforge.report.html.page import RAMP, chart
from evoforge.report.html.run import Run

# Up to so many genes in so many small charts, else a map.
MAX_GENES, MAX_PANELS = 40, 16
# Rows and columns of a map.
MAX_ROWS, MAX_STEPS = 200, 60
SHARED = "all sources"


def genes(run: Run) -> Html:
    """Return charts of the genes of every search; nothing before the first generation."""
    parts = []
    for number, history in enumerate(run.stages):
        if not history.names:
            continue
        if len(run.stages) > 1:
            parts.append(element("h3", f"Search {history.stage}"))
        slots = any(SLOT.fullmatch(parse(name)[0]) for name in history.names)
        panels = _panels(history.names)
        few = len(history.names) <= MAX_GENES and len(panels) <= MAX_PANELS and not slots
        parts.append(_lines(run, history, panels, number) if few else _map(run, history, number))
    return join(parts)


def _panels(names: Sequence[str]) -> dict[tuple[str, str], list[tuple[str, int]]]:
    """Return the genes of each (parameter, group): sources and positions."""
    found: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for index, name in enumerate(names):
        group, source, parameter = parse(name)
        found.setdefault((parameter, group), []).append((source or SHARED, index))
    return found


def _lines(
    run: Run, history: History, panels: dict[tuple[str, str], list[tuple[str, int]]], number: int
) -> Html:
    """Return a chart for each parameter of each group, a line for each source."""
    rows = _spread(history, values(run.record, history))
    won = run.winner(history)
    marked = None if won is None else values(run.record, history, np.array([won]))[0]
    sources = list(dict.fromkeys(source for genes in panels.values() for source, _ in genes))
    parts = []
    for place, ((parameter, group), chosen) in enumerate(panels.items()):
        found = [
            {"at": at, "source": source, "mean": mean[i], "low": low[i], "high": high[i]}
            for at, mean, low, high in rows
            for source, i in chosen
        ]
        ends = [
            {"at": rows[-1][0], "source": source, "mean": float(marked[i])}
            for source, i in chosen
            if marked is not None
        ]
        span = [min(history.info["low"][i] for _, i in chosen)]
        span.append(max(history.info["high"][i] for _, i in chosen))
        one = len({name for _, name in panels}) == 1
        title = parameter if one or not group else f"{group}, {parameter}"
        spec = _panel(found, ends, sources, span, first=place == 0)
        parts.append(chart(f"genes-{number}-{place}", spec, title=title))
    said = (
        "Line: the mean of a generation; band: from its 10th to its 90th percentile; diamond: the "
        "winner. The whole height is what is searched."
    )
    return join([element("p", said, class_="said"), grid(parts)])


def _spread(history: History, numbers: Floats) -> list[tuple[float, Floats, Floats, Floats]]:
    """Return where a generation stands, and mean, 10th and 90th percentile of each gene."""
    found = []
    for part in _steps(history):
        low, high = np.percentile(numbers[part], (10, 90), axis=0)
        at = round(float(history.evaluations[part].mean()), 1)
        found.append((at, *(_short(row) for row in (numbers[part].mean(axis=0), low, high))))
    return found  # type: ignore[return-value]


def _steps(history: History) -> list[NDArray[np.intp]]:
    """Return the candidates' positions by generation, several together in a long search."""
    parts = history.split()
    groups = np.array_split(np.arange(len(parts)), min(MAX_STEPS, len(parts)))
    return [np.concatenate([parts[i] for i in group]) for group in groups]


def _short(numbers: Floats) -> Floats:
    return np.array([float(f"{x:.4g}") for x in numbers], dtype=np.float64)


def _panel(
    found: list[dict[str, Any]],
    ends: list[dict[str, Any]],
    sources: Sequence[str],
    span: Sequence[float],
    *,
    first: bool,
) -> dict[str, Any]:
    x = {"field": "at", "type": "quantitative", "title": None, "axis": {"grid": False}}
    scale = {"domain": list(span), "nice": False, "zero": False}
    y = {"field": "mean", "type": "quantitative", "title": None, "scale": scale}
    # The first chart names the colours of all.
    legend = {"title": None, "columns": 3, "symbolOpacity": 1} if first else None
    colour: dict[str, Any] = {
        "field": "source",
        "type": "nominal",
        "scale": {"domain": list(sources)},
    }
    colour["legend"] = legend
    told = [{"field": field} for field in ("source", "mean", "low", "high", "at")]
    band = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour}
    line = {"x": x, "y": y, "color": colour, "tooltip": told}
    layers = [
        {"mark": {"type": "area", "opacity": 0.15}, "encoding": band},
        {"mark": {"type": "line", "point": {"size": 14}}, "encoding": line},
    ]
    if ends:
        mark = {"type": "point", "shape": "diamond", "filled": True, "size": 70, "opacity": 1}
        place = {"x": x, "y": y, "color": colour}
        layers.append({"data": {"values": ends}, "mark": mark, "encoding": place})
    return {"height": 130, "data": {"values": found}, "layer": layers}


def _map(run: Run, history: History, number: int) -> Html:
    """Return a heat map: a row for each gene, a column for each few generations."""
    found = course(run.record, history)
    inside = [i for i, name in enumerate(found.names) if _is_slot(name)]
    what = "Layers in the path." if inside else "Genes."
    chosen = inside[:MAX_ROWS] if inside else _moved(found, range(len(found.names)))
    parts = [_cells(found, chosen, f"map-{number}", what, is_share=bool(inside))]
    others = [i for i in range(len(found.names)) if i not in set(inside)]
    if inside and others:
        moved = _moved(found, others)
        parts.append(_cells(found, moved, f"rest-{number}", "Other genes.", is_share=False))
    return join(parts)


def _is_slot(name: str) -> bool:
    group, _, parameter = parse(name)
    return parameter == INSIDE and SLOT.fullmatch(group) is not None


def _moved(found: Course, some: Sequence[int]) -> list[int]:
    """Return those genes whose means moved most, in the order of the search."""
    width = np.maximum(found.high - found.low, 1e-12)
    filled = np.where(np.isnan(found.means), found.low, found.means)
    far = np.ptp(filled, axis=0) / width
    most = sorted(some, key=lambda i: -far[i])[:MAX_GENES]
    return sorted(most)


def _cells(found: Course, chosen: Sequence[int], key: str, what: str, *, is_share: bool) -> Html:
    rows = [
        {"generation": start, "end": end, **cell}
        for start, end, numbers in _columns(found)
        for cell in _column(found, chosen, numbers)
    ]
    said = (
        "Share of a generation with the layer in the path, pass by pass"
        if is_share
        else "Mean of a generation, from the lower bound (faint) to the upper (strong)"
    )
    left = len(found.names) - len(chosen)
    said += "" if is_share or not left else f"; the {len(chosen)} that moved most"
    said += "" if found.marked is None else "; last column: the winner"
    order = [label(found.names[i]) for i in chosen]
    spec = _map_spec(f"{key}-cells", order, "share" if is_share else "position")
    picture = chart(key, spec, title=what, said=f"{said}.", canvas=len(rows) > 2000)
    return join([data(f"{key}-cells", rows), picture])


def _columns(found: Course) -> list[tuple[float, float, Floats]]:
    """Return the first and last generation of each column and its genes; the winner's last."""
    groups = np.array_split(np.arange(len(found.means)), min(MAX_STEPS, len(found.means)))
    columns: list[tuple[float, float, Floats]] = []
    for group in groups:
        some = found.means[group]
        counted = (~np.isnan(some)).sum(axis=0)
        sums = np.nansum(some, axis=0) / np.maximum(counted, 1)
        ends = found.generations[group[0]], found.generations[group[-1]] + 1
        columns.append((*ends, np.where(counted > 0, sums, np.nan)))
    if found.marked is not None:
        after = found.generations[-1] + 1
        wide = 0.06 * after
        columns.append((after + 0.3 * wide, after + 1.3 * wide, found.marked))
    return columns


def _column(found: Course, chosen: Sequence[int], numbers: Floats) -> list[dict[str, Any]]:
    width = np.maximum(found.high - found.low, 1e-12)
    place = (numbers - found.low) / width
    return [
        {
            "gene": label(found.names[i]),
            "value": float(f"{numbers[i]:.4g}"),
            "place": round(float(place[i]), 4),
        }
        for i in chosen
    ]


def label(name: str) -> str:
    """Return a gene as people read it.

    >>> label("pass0_layer3.math_a.in")
    'math_a 3'
    >>> label("layer3.math_a.density")
    'layer3 math_a density'
    """
    group, source, parameter = parse(name)
    match = SLOT.fullmatch(group)
    if match:
        again = f" ({int(match[1]) + 1}.)" if match[1] != "0" else ""
        tail = "" if parameter == INSIDE else f" {parameter}"
        return f"{source} {match[2]}{again}{tail}"
    return " ".join(part for part in (group, source, parameter) if part)


def _map_spec(name: str, order: Sequence[str], title: str) -> dict[str, Any]:
    high = float(np.clip(520 / max(1, len(order)), 3, 16))
    told = ("gene", "value", "generation")
    return {
        "height": max(40, round(high * len(order))),
        "data": {"name": name},
        "mark": {"type": "rect"},
        "encoding": {
            "x": {
                "field": "generation",
                "type": "quantitative",
                "title": "generation",
                "scale": {"nice": False, "zero": False},
                "axis": {"grid": False, "tickMinStep": 1},
            },
            "x2": {"field": "end"},
            "y": {
                "field": "gene",
                "type": "nominal",
                "sort": list(order),
                "title": None,
                "axis": {"labelLimit": 150, "ticks": False, "domain": False, "labelOverlap": True},
            },
            "color": {
                "field": "place",
                "type": "quantitative",
                "title": title,
                "scale": {"domain": [0, 1], "range": list(RAMP)},
                "legend": {"gradientLength": 120},
            },
            "tooltip": [{"field": field} for field in told],
        },
    }
