"""A result in words and ordered rows: what the terminal's tables and the model card share.

Knows the content of `result.json`; does not know rich, Markdown or matplotlib.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evoforge.report.result import PARTS

Result = Mapping[str, Any]
LEVEL = 0.05
# Share of what merging changed, lost to rounding, from which it is worth a word.
NOTABLE = 0.02


@dataclass(frozen=True)
class Row:
    """One model of the results.

    Args:
        label: what to call it.
        kind: `source`, `merge` (nobody searched for it), or `winner`.
        entry: recipe and scores, as in `result.json`.
        paired: the winner less this model on the test items, if both were scored there.
        best: whether it is the best source.
    """

    label: str
    kind: Literal["source", "merge", "winner"]
    entry: Mapping[str, Any]
    paired: Mapping[str, Any] | None
    best: bool


def rows(result: Result) -> list[Row]:
    """Return the sources, the merges nobody searched for and the winner, in this order."""
    names = {source["name"] for source in result["sources"]}
    best = best_source(result)
    found = [
        Row(
            label=name if name in names else name.replace("_", " "),
            kind="source" if name in names else "merge",
            entry=entry,
            paired=result["paired"].get(name),
            best=name == best,
        )
        for name, entry in result["baselines"].items()
    ]
    # Not by score: a fixed order lets runs be compared by eye.
    found.sort(key=lambda row: row.kind != "source")
    if result["winner"] is not None:
        found.append(Row("winner", "winner", result["winner"], None, best=False))
    return found


def best_source(result: Result) -> str | None:
    """Return the name of the source that scores best on the last part any source was scored on."""
    names: set[str] = {source["name"] for source in result["sources"]}
    entries: dict[str, Any] = {
        name: entry for name, entry in result["baselines"].items() if name in names
    }
    sign = 1 if higher(result) else -1
    for part in reversed(PARTS):
        scores = {n: sign * e[part]["score"] for n, e in entries.items() if e[part] is not None}
        if scores:
            return max(scores, key=lambda name: scores[name])
    return None


def higher(result: Result) -> bool:
    """Return whether higher scores are better."""
    return all(stage["direction"] != "min" for stage in result["stages"].values())


def metric(result: Result) -> str:
    """Return the name of the main metric, `score` if the run does not say."""
    for stage in result["stages"].values():
        if stage.get("metric"):
            return str(stage["metric"])
    return "score"


def in_percent(result: Result) -> bool:
    """Return whether every score lies in [0, 1] and higher is better."""
    entries = [*result["baselines"].values(), *filter(None, [result["winner"]])]
    scores = [entry[part] for entry in entries for part in PARTS if entry[part] is not None]
    return higher(result) and all(s["low"] >= 0 and s["high"] <= 1 for s in scores)


@dataclass(frozen=True)
class Scale:
    """How scores are written: in percent where that makes sense, else as they are."""

    percent: bool

    def number(self, value: float, *, sign: bool = False) -> str:
        """Return a score or a difference as text."""
        shown = f"{100 * value:+.1f}" if self.percent else f"{value:+.3f}"
        return shown if sign else shown.removeprefix("+")

    def mean(self, content: Mapping[str, Any] | None) -> str:
        """Return a score alone, a dash if there is none."""
        return "-" if content is None else self.number(content["score"])

    def score(self, content: Mapping[str, Any] | None) -> str:
        """Return a score with its interval, a dash if there is none."""
        if content is None:
            return "-"
        return f"{self.number(content['score'])} {self.ends(content)}"

    def difference(self, content: Mapping[str, Any]) -> str:
        """Return a paired difference with its interval."""
        shown = self.number(content["difference"], sign=True)
        return f"{shown} {self.ends(content)}"

    def ends(self, content: Mapping[str, Any]) -> str:
        """Return an interval without white space, so that it is never broken in two."""
        return f"[{self.number(content['low'])},{self.number(content['high'])}]"


def p_value(p: float) -> str:
    """Return a p-value as it is printed."""
    return "p<0.001" if p < 0.001 else f"p={p:.3f}"


def reading(result: Result) -> list[str]:
    """Return what the results mean, a sentence or two to a line."""
    if result["winner"] is None:
        return [f"The run is {result['status']} and has no winner yet."]
    return [*_against_best(result), *_curse(result), *_stored(result)]


def _against_best(result: Result) -> list[str]:
    best = best_source(result)
    paired = result["paired"].get(best) if best is not None else None
    if paired is None or result["winner"]["test"] is None:
        return ["The winner was not compared with a source on the test items."]
    scale = Scale(in_percent(result))
    gain = paired["difference"] * (1 if higher(result) else -1)
    low, high = scale.number(paired["low"]), scale.number(paired["high"])
    unit = " points" if scale.percent else ""
    size = scale.number(abs(paired["difference"])) + unit
    shown = f"[{low}, {high}], {p_value(paired['p']).replace('<', ' < ').replace('=', ' = ')}"
    if paired["p"] >= LEVEL:
        words = f"The winner is not clearly different from the best source, {best}: difference "
        words += f"{scale.number(paired['difference'], sign=True)}{unit} {shown}"
    else:
        verb = "beats" if gain > 0 else "is worse than"
        words = f"The winner {verb} the best source, {best}, by {size} {shown}"
    items = result["winner"]["test"]["items"]
    return [f"{words} ({paired['test']}, {items} test items, used once)."]


def _stored(result: Result) -> list[str]:
    """Return what rounding takes of the winner; nothing if it is not worth a word."""
    found = result.get("rounding")
    if not found:
        return []
    mine = found["lost"][found["dtype"]]
    better = {dtype: share for dtype, share in found["lost"].items() if share < mine / 2}
    if mine < NOTABLE or not better:
        return []
    others = ", ".join(
        f"{dtype} would take {f'{share:.1%}' if share else 'nothing'}"
        for dtype, share in better.items()
    )
    return [
        f"Storing the winner in {found['dtype']} takes {mine:.0%} of what merging changed; "
        f"{others} (models.dtype)."
    ]


def _curse(result: Result) -> list[str]:
    search, test = result["winner"]["search"], result["winner"]["test"]
    if search is None or test is None:
        return []
    scale = Scale(in_percent(result))
    excess = (search["score"] - test["score"]) * (1 if higher(result) else -1)
    count = result["counts"]["candidates"]
    tried = f"the best of {count} candidates" if count > 1 else "the only candidate"
    gap = scale.number(abs(excess)) + (" points" if scale.percent else "")
    if excess > 0:
        words = f"{gap} better in the search than on the test items: being {tried} flatters a score"
    else:
        words = f"{gap} better on the test items than in the search, though it was {tried} there"
    return [f"It scored {words}; trust the test column."]
