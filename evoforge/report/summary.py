"""A result in words and ordered rows: what the terminal's tables and the model card share.

Knows the content of `result.json`; does not know rich, Markdown or matplotlib.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evoforge.report import protocol as words
from evoforge.report.by_task import broken
from evoforge.report.result import PARTS

Result = Mapping[str, Any]
LEVEL = 0.05
# Share of what merging changed, lost to rounding, from which it is worth a word.
NOTABLE = 0.02
# Share of answers cut at the limit of their length, above which a score hangs on that limit.
CUT = 0.05


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


def winner_and_best(result: Result) -> dict[str, Mapping[str, Any]]:
    """Return the entries of the winner and the best source by their labels, as far as there are."""
    return {
        row.label: row.entry for row in reversed(rows(result)) if row.kind == "winner" or row.best
    }


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


def judged_by(result: Result) -> list[str]:
    """Return what scores were judged by, a sentence to a line."""
    protocol = result["protocol"]
    lines = [f"Protocol: {words.name(protocol)}, hash {str(protocol['hash'])[: words.SHORT]}."]
    if tasks := words.parts(protocol):
        lines.append(f"Its tasks: {'; '.join(tasks)}.")
    return [*lines, *filter(None, [words.early(protocol)])]


def reading(result: Result) -> list[str]:
    """Return what the results mean, a sentence or two to a line."""
    if result["winner"] is None:
        return [f"The run is {result['status']} and has no winner yet."]
    cautions = filter(None, [broken(result), _cut(result)])
    return [*_against_best(result), *_curse(result), *cautions, *_stored(result)]


def comparisons(result: Result) -> int:
    """Return how many baselines the winner was tested against."""
    return sum(paired is not None for paired in result["paired"].values())


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
    # The corrected one, because the test items said which source is the best: if all are equal, one
    # of many is soon better than the winner by chance.
    p = paired["p_holm"]
    shown = f"[{low}, {high}], {p_value(p).replace('<', ' < ').replace('=', ' = ')}"
    if p >= LEVEL:
        said = f"The winner is not clearly different from the best source, {best}: difference "
        said += f"{scale.number(paired['difference'], sign=True)}{unit} {shown}"
    else:
        verb = "beats" if gain > 0 else "is worse than"
        said = f"The winner {verb} the best source, {best}, by {size} {shown}"
    test, count = result["winner"]["test"], comparisons(result)
    items = f"{test['items']} test items, "
    items += f"{test['counted']} of which count, " if "counted" in test else ""
    how = paired["test"] + (f", by Holm's method for {count} baselines" if count > 1 else "")
    return [f"{said} ({how}; {items}used once)."]


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
    """Return how much the search flattered, and how much is to be expected of so many."""
    found = result["winner"]["curse"]
    if found is None:
        return []
    scale = Scale(in_percent(result))
    unit = " points" if scale.percent else ""
    count = found["candidates"]
    who = f"the best of {count} candidates" if count > 1 else "the only candidate"
    gap = scale.number(abs(found["optimism"]))
    side = f"{gap}{unit} {'better' if found['optimism'] > 0 else 'worse'} than"
    items = f"{found['items']} item{'' if found['items'] == 1 else 's'}"
    said = (
        f"In the search {who} scored {scale.number(found['best'])} on {items}, "
        f"{side if float(gap) else 'the same as'} the winner on the test items"
    )
    if count > 1 and found["if_equal"]:
        flattery = scale.number(found["if_equal"]) + unit
        said += f"; were all equally good, the best would look about {flattery} better than it is"
    return [f"{said}: trust the test column."]


def _cut(result: Result) -> str | None:
    """Return a sentence if answers were often cut at the limit of their length."""
    found = {
        row.label: share
        for row in rows(result)
        if (share := (row.entry["test"] or {}).get("over_length", 0)) > CUT
    }
    if not found:
        return None
    said = ", ".join(f"{label} {share:.0%}" for label, share in found.items())
    return (
        f"Answers that were cut at the longest length allowed, on the test items: {said}; "
        "these scores hang on task.max_new_tokens."
    )
