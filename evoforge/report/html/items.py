"""Which test items each model solves: the parents and the baselines against the winner."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from evoforge.record import WINNER
from evoforge.report.history import Floats
from evoforge.report.html.markup import Html, data, join, paragraph, table
from evoforge.report.html.page import FAINT, RAMP, chart
from evoforge.report.html.run import Run

# Steps from the worst to the best score where items are not just right or wrong.
STEPS = 4
# Strips of a row at most; of more, neighbours are drawn as one.
MOST_STRIPS = 1500


def items(run: Run) -> Html:
    """Return the map of test items; nothing before the winner or two models were tested."""
    names, scores = judged(run)
    if len(names) < 2:
        return Html("")
    labels = [_label(run, name) for name in names]
    levels, steps = _levels(scores)
    order = _order(levels)
    rows = _strips(labels, levels[:, order], steps)
    exact = "right or wrong" if steps == 1 else f"{steps + 1} steps from worst to best"
    said = (
        f"{scores.shape[1]:,} test items from left to right, sorted by who solves them ({exact}); "
        "an item stands at the same place in every row."
    )
    spec = _spec(labels, steps)
    picture = chart("items", spec, title="Items by model.", said=said, canvas=len(rows) > 2000)
    return join([data("strips", rows), _counts(run, names, scores), picture])


def judged(run: Run) -> tuple[list[str], Floats]:
    """Return the roles of the models that answered the same test items, and their scores.

    Returns:
        The names, the winner first, and (models, items) scores, higher better.
    """
    found = run.tested
    first = found.get(WINNER) or next(iter(found.values()), None)
    if first is None:
        return [], np.zeros((0, 0))
    names = sorted(
        (name for name, e in found.items() if e.item_set == first.item_set),
        key=lambda name: name != WINNER,
    )
    sign = 1.0 if run.higher else -1.0
    rows = [[sign * result.score for result in found[name].results] for name in names]
    return names, np.array(rows, dtype=np.float64)


def _label(run: Run, name: str) -> str:
    best = " (best source)" if name == run.best_source else ""
    return (name if name in run.sources else name.replace("_", " ")) + best


def _levels(scores: Floats) -> tuple[np.ndarray, int]:
    """Return whole steps from 0 for the worst score to `steps` for the best."""
    low, high = float(scores.min()), float(scores.max())
    steps = 1 if np.isin(scores, (low, high)).all() else STEPS
    place = (scores - low) / ((high - low) or 1.0)
    # All the same: all right if they have the best score that is known, else all wrong.
    place = place if high > low else np.full_like(scores, float(high > 0))
    return np.floor(place * steps + 1e-9).astype(np.int64), steps


def _order(levels: np.ndarray) -> np.ndarray:
    """Return the items sorted: the winner's best first, and among these those the others miss."""
    keys = [levels[0], -levels[1:].sum(axis=0), *levels[1:]]
    # The last key of lexsort counts most.
    return np.lexsort([-key for key in reversed(keys)])


def _strips(labels: Sequence[str], levels: np.ndarray, steps: int) -> list[dict[str, Any]]:
    """Return a rectangle for each run of items with which a model did equally well."""
    count = levels.shape[1]
    found = []
    for label, row in zip(labels, levels, strict=True):
        edges = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), count]
        if len(edges) - 1 > MOST_STRIPS:
            edges = sorted({int(edge) for edge in np.linspace(0, count, MOST_STRIPS + 1)})
        found += [
            {
                "model": label,
                "start": start,
                "end": end,
                "share": round(float(row[start:end].mean()) / steps, 3),
                "items": end - start,
            }
            for start, end in pairwise(edges)
        ]
    return found


def _spec(labels: Sequence[str], steps: int) -> dict[str, Any]:
    told = ("model", "items", "share")
    colours = list(RAMP) if steps > 1 else [RAMP[0], RAMP[2]]
    return {
        "height": 24 * len(labels),
        "data": {"name": "strips"},
        "mark": {"type": "rect"},
        "encoding": {
            "x": {
                "field": "start",
                "type": "quantitative",
                "title": "test items",
                "scale": {"nice": False},
                "axis": {"grid": False, "tickMinStep": 1},
            },
            "x2": {"field": "end"},
            "y": {
                "field": "model",
                "type": "nominal",
                "sort": list(labels),
                "title": None,
                "scale": {"paddingInner": 0.12},
                "axis": {"ticks": False, "domain": False, "labelLimit": 130},
            },
            "color": {
                "field": "share",
                "type": "quantitative",
                "title": "score" if steps > 1 else None,
                "scale": {"domain": [0, 1], "range": colours},
                "legend": {"gradientLength": 100, "labelColor": FAINT} if steps > 1 else None,
            },
            "tooltip": [{"field": field} for field in told],
        },
    }  # fmt: skip


def counts(names: Sequence[str], scores: Floats, best: str | None) -> Mapping[str, int]:
    """Return how many items are solved by whom.

    An item is solved by who has the best score that any model has on any item.

    Args:
        names: the winner first.
        scores: (models, items), higher better.
        best: the best source's name.
    """
    solved = scores >= scores.max() - 1e-9
    if not (scores.max() > scores.min()):
        solved = np.zeros_like(solved)
    winner, others = solved[0], solved[1:]
    found = {
        "solved by only the winner": int((winner & ~others.any(axis=0)).sum()),
        "solved by all of them": int(solved.all(axis=0).sum()),
        "solved by none of them": int((~solved.any(axis=0)).sum()),
        "solved by another, not by the winner": int((~winner & others.any(axis=0)).sum()),
    }
    if best in names:
        against = scores[names.index(best)]
        found["the winner better than the best source"] = int((scores[0] > against).sum())
        found["the winner worse than the best source"] = int((scores[0] < against).sum())
    return found


def _counts(run: Run, names: Sequence[str], scores: Floats) -> Html:
    if names[0] != WINNER:
        return paragraph("The winner has no answers to the test items yet.")
    found = counts(names, scores, run.best_source)
    total = scores.shape[1]
    body = [[what, f"{count:,}", f"{count / total:.1%}"] for what, count in found.items()]
    return table(["test items", "count", "share"], body, numbers={1, 2})
