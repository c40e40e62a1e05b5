"""Which test items the winners of compared runs solve: all, some, or none of them.

Scores are from 0 to 1, which solves an item. Others (perplexities, or where lower is better) become
such: 1 is the best that any winner has on any item, 0 the worst.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evoforge.report.groups import grouped
from evoforge.report.history import Floats
from evoforge.report.html.comparison_charts import FIT, LABEL, evenly, tips
from evoforge.report.html.markup import Html, data, join, table, tiles
from evoforge.report.html.page import RAMP, chart
from evoforge.report.runs import Comparison, Run
from evoforge.report.summary import higher

# More columns are thinner than a pixel.
MOST_ITEMS = 500


def items(found: Comparison) -> Html:
    """Return which group's winners solve which test items; nothing of a single group."""
    shares = solved(found)
    if len(shares) < 2:
        return Html("")
    ids = item_ids(found)
    order = np.argsort(-np.mean(list(shares.values()), axis=0), kind="stable")
    return join([_counts(found, shares), _map(shares, ids, order)])


def _counts(found: Comparison, shares: Mapping[str, Floats]) -> Html:
    """Return how many items all, some or no winners solve, and which only those of one group."""
    table_of = np.array(list(shares.values()))
    each = np.array(list(_judged(found).values()))
    every, none = int((each >= 1).all(axis=0).sum()), int((each <= 0).all(axis=0).sum())
    total = each.shape[1]
    some = [
        ("solved by all winners", f"{every:,}", f"of {total:,} test items"),
        ("by some", f"{total - every - none:,}", f"of {len(each)} winners"),
        ("by none", f"{none:,}", "nothing of its score"),
    ]
    body = []
    for number, (group, own) in enumerate(shares.items()):
        others = np.delete(table_of, number, axis=0)
        alone = int(((own > 0) & (others <= 0).all(axis=0)).sum())
        lost = int(((own <= 0) & (others > 0).all(axis=0)).sum())
        body.append([group, int((own >= 1).sum()), int((own <= 0).sum()), alone, lost])
    head = [
        "group",
        "all its winners",
        "none of them",
        "no other group",
        "every other group but it",
    ]
    return join([tiles(some), table(head, body, numbers=range(1, 5))])


def _map(shares: Mapping[str, Floats], ids: Sequence[str], order: NDArray[np.intp]) -> Html:
    """Return the score of each group on each item, from the easiest to the hardest."""
    chosen = order[evenly(order.size, MOST_ITEMS)]
    rows = [
        {
            "at": place,
            "end": place + 1,
            "group": group,
            "share": round(float(own[i]), 3),
            "item": ids[i],
        }
        for group, own in shares.items()
        for place, i in enumerate(chosen)
    ]
    encoding = {
        "x": {
            "field": "at",
            "type": "quantitative",
            "title": "test items, easiest first",
            "axis": {"labels": False, "ticks": False, "grid": False},
            "scale": {"domain": [0, len(chosen)], "nice": False},
        },
        "x2": {"field": "end"},
        "y": {"field": "group", "type": "nominal", "sort": list(shares), "title": None}
        | {"axis": {"labelLimit": LABEL, "ticks": False, "domain": False}},
        "color": {
            "field": "share",
            "type": "quantitative",
            "title": "mean score over seeds",
            "scale": {"domain": [0, 1], "range": list(RAMP)},
            "legend": {"gradientLength": 140},
        },
        "tooltip": tips("item", "group", "share"),
    }
    mark = {"type": "rect", "stroke": None}
    spec = {
        "autosize": FIT,
        "height": {"step": 24},
        "data": {"name": "items"},
        "mark": mark,
        "encoding": encoding,
    }
    some = (
        f" {len(chosen)} of {order.size:,} are drawn, evenly." if len(chosen) < order.size else ""
    )
    said = f"A column is a test item, a row the winners of a group.{some}"
    picture = chart("items", spec, title="Who solves what.", said=said, canvas=True)
    return join([data("items", rows), picture])


def solved(found: Comparison) -> dict[str, Floats]:
    """Return the score of each group's winners on each test item, the mean over their seeds.

    Only of what compares; in the order of `item_ids`.
    """
    each, shares = _judged(found), {}
    for label, members in grouped(found).items():
        own = [each[run.name] for _, run in members if run.name in each]
        if own:
            shares[label] = np.mean(own, axis=0)
    return shares


def _judged(found: Comparison) -> dict[str, Floats]:
    """Return the score of each winner that compares on each test item, from 0 to 1."""
    items, runs = item_ids(found), [run for run in found.runs if _compares(found, run)]
    if not runs:
        return {}
    table = np.array([_answers(run, items) for run in runs])
    low, high = float(table.min()), float(table.max())
    if low < 0 or high > 1 or not all(higher(run.result) for run in runs if run.result):
        table = _turned(table, runs)
    return dict(zip((run.name for run in runs), table, strict=True))


def _turned(table: Floats, runs: Sequence[Run]) -> Floats:
    """Return scores between the worst and the best of all; 0 where all are the same."""
    signs = np.array([1.0 if run.result is None or higher(run.result) else -1.0 for run in runs])
    signed = table * signs[:, None]
    room = float(np.ptp(signed))
    found: Floats = (signed - signed.min()) / (room or 1.0)
    return found


def item_ids(found: Comparison) -> list[str]:
    """Return the test items of the runs that compare."""
    runs = (run for run in found.runs if _compares(found, run))
    first = next((run.answers for run in runs), None)
    return [] if first is None else [result.item for result in first.results]


def _compares(found: Comparison, run: Run) -> bool:
    return run.answers is not None and run.name not in found.odd


def _answers(run: Run, items: Sequence[str]) -> list[float]:
    assert run.answers is not None
    own = {result.item: result.score for result in run.answers.results}
    return [own[item] for item in items]
