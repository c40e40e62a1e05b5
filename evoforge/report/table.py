"""The end of a run in the terminal: results, the winner's path and numbers, where the time went.

Makes rich renderables out of a result and a recipe; prints nothing itself.
"""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evoforge.path import Hop, hops, short
from evoforge.record import Record
from evoforge.report.by_task import by_task
from evoforge.report.front_table import front_table
from evoforge.report.grid import Grid, grid
from evoforge.report.lineage import merged
from evoforge.report.result import PARTS
from evoforge.report.route import counts, scaled, scaling, shares
from evoforge.report.summary import (
    Result,
    Row,
    Scale,
    comparisons,
    higher,
    in_percent,
    judged_by,
    metric,
    p_value,
    reading,
    rows,
    winner_and_best,
)

# More groups or hops than this are cut short: all are in the report and the recipe.
MAX_GROUPS, MAX_HOPS = 12, 40
# What is said in a sentence where it is worth one.
REMARKS = ("comma", "over_length", "violation")
MAX_METRICS = 4
PHASES = ("load", "merge", "generate", "score", "other", "total")


def summary(record: Record, result: Result) -> RenderableType:
    """Return all tables of a run and what they mean, one below the other."""
    said = [Text(line) for line in (*judged_by(result), *reading(result))]
    parts: list[RenderableType] = [results(result), *_tasks(result), *said, Text()]
    if result["winner"] is not None:
        key = result["winner"]["recipe"]
        content, found = record.recipe(key).content, grid(record, key)
        parts += _path(hops(content))
        inner = merged(content)
        title = "The winner's numbers" if inner is None else f"The numbers of {inner}"
        searched = {info.get("merge") for info in record.stages().values()}
        if inner is None and "choice" in searched:
            title += f", by {content['method']}"
        parts += [genes(found, title), Text()] if found.groups else []
    parts += front_table(result.get("front"), str(record.folder))
    if record.examples():
        parts += [Text("Some test items with everybody's answers: examples.html"), Text()]
    return Group(*parts, seconds(result))


def _path(path: Sequence[Hop]) -> list[RenderableType]:
    """Return a path in words, and its hops if their scales say more; nothing without a path."""
    if not path:
        return []
    shared = ", ".join(f"{source} {share}" for source, share in shares(path).items())
    parts: list[RenderableType] = [
        Text("The winner's path", style="bold"),
        Text(short(path)),
        Text(f"{counts(path)}; {shared}; {scaling(path)}"),
        Text(),
    ]
    if scaled(path):
        parts.append(steps(path[:MAX_HOPS]))
        more = len(path) - MAX_HOPS
        parts += [Text(f"and {more} hops more: see the recipe")] if more > 0 else []
        parts.append(Text())
    return parts


def steps(path: Sequence[Hop]) -> Table:
    """Return a row for each hop of a path."""
    table = _table("Hops")
    table.add_column("hop", justify="right")
    table.add_column("source", overflow="fold")
    for name in ("layer", "scale"):
        table.add_column(name, justify="right")
    for number, hop in enumerate(path, start=1):
        table.add_row(str(number), Text(hop.source), str(hop.layer), f"{hop.scale:.4g}")
    return table


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"),
        title_justify="left",
        min_width=len(title) if len(title) < 40 else None,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        header_style="bold",
        show_edge=False,
    )


def results(result: Result) -> Table:
    """Return a row for each source, each merge nobody searched for, and the winner."""
    scale = Scale(in_percent(result))
    unit = "percent, " if scale.percent else ""
    better = "" if higher(result) else ", lower is better"
    table = _table(f"Results: {metric(result)} ({unit}95 % interval{better})")
    extra = _metrics(result)
    table.add_column("model", overflow="fold", min_width=12)
    for part in PARTS:
        table.add_column(part, justify="right", no_wrap=True)
    table.add_column("winner minus it", justify="right", no_wrap=True)
    for name in extra:
        table.add_column(Text(name), justify="right", no_wrap=True)
    for row in rows(result):
        if row.kind == "winner":
            table.add_section()
        table.add_row(*_cells(row, scale, extra))
    if comparisons(result) > 1:
        said = f"p: corrected for {comparisons(result)} comparisons by Holm's method"
        table.caption, table.caption_justify = Text(said), "left"
    return table


def _tasks(result: Result) -> list[RenderableType]:
    """Return a row for each task of a suite; nothing for a task alone."""
    models = winner_and_best(result)
    found, scale = by_task(result, models), Scale(percent=True)
    if not found:
        return []
    table = _table("Test scores by task (percent)")
    table.add_column("task", overflow="fold")
    table.add_column("metric")
    for label in models:
        table.add_column(Text(label), justify="right")
    limited = any(row.limit is not None for row in found)
    if limited:
        table.add_column("at least", justify="right")
    for row in found:
        cells = [Text(row.task), Text(row.metric)]
        cells += [Text(_share(score, scale)) for score in row.scores.values()]
        table.add_row(*cells, *([Text(_share(row.limit, scale))] if limited else []))
    return [table, Text()]


def _share(value: float | None, scale: Scale) -> str:
    return "-" if value is None else _number(value, scale)


def _metrics(result: Result) -> list[str]:
    """Return the names of the metrics beside the main one."""
    found: dict[str, None] = {}
    for row in rows(result):
        test = row.entry["test"] or {}
        found |= dict.fromkeys(test.get("metrics", {}))
    beside = [n for n in found if n != metric(result) and "/" not in n and n not in REMARKS]
    return beside[:MAX_METRICS]


def _cells(row: Row, scale: Scale, extra: list[str]) -> list[Text]:
    style = "bold green" if row.kind == "winner" else "bold" if row.best else ""
    cells = [Text(row.label + (" (best)" if row.best else ""), style=style)]
    for part in PARTS:
        failed = part in row.entry.get("failures", {})
        # Only the test score is used once; the others' intervals would say more than they know.
        shown = scale.score(row.entry[part]) if part == "test" else scale.mean(row.entry[part])
        cells.append(Text("failed" if failed else shown, style=style))
    against = row.paired
    # On a line of its own, or the labels have no room on 80 columns.
    p = against["p_holm"] if against else 0.0
    unsure = f"\n{p_value(p)}" if p >= 0.001 else ""
    cells.append(Text(f"{scale.difference(against)}{unsure}" if against else ""))
    test = row.entry["test"] or {}
    for name in extra:
        value = test.get("metrics", {}).get(name)
        cells.append(Text("-" if value is None else _number(value, scale), style=style))
    return cells


def _number(value: float, scale: Scale) -> str:
    """Return a metric beside the main one, which need not be a share."""
    return scale.number(value) if 0 <= value <= 1 else f"{value:.3f}"


def genes(found: Grid, title: str = "The winner's numbers") -> Table:
    """Return a recipe's numbers: a row for each group, a column for source and parameter."""
    table = _table(title)
    table.add_column("group", no_wrap=True)
    for source, parameter in found.columns:
        table.add_column(Text(f"{source} {parameter}".strip()), justify="right", overflow="fold")
    pairs = zip(found.groups, found.numbers, strict=True)
    for group, numbers in list(pairs)[:MAX_GROUPS]:
        table.add_row(Text(group), *(_gene(number) for number in numbers))
    if len(found.groups) > MAX_GROUPS:
        more = len(found.groups) - MAX_GROUPS
        table.caption = Text(f"and {more} groups more: see report.html", justify="left")
    return table


def _gene(number: float | None) -> Text:
    return Text("-" if number is None else f"{number:.3g}")


def seconds(result: Result) -> RenderableType:
    """Return where the time went, and how much was tried in it."""
    table = _table("Seconds by phase")
    phases = result["seconds"]
    names = [*PHASES[:-1], *(name for name in phases if name not in PHASES), "total"]
    for name in names:
        table.add_column(Text(name), justify="right")
    table.add_row(*(Text(f"{phases[name]:.1f}") for name in names))
    counts = result["counts"]
    proxy = f", {counts['items_proxy']} by the proxy" if counts["items_proxy"] else ""
    return Group(
        table,
        Text(
            f"{counts['candidates']} candidates, {counts['evaluations']} evaluations, "
            f"{counts['cache_hits']} cache hits, {counts['failures']} failures"
        ),
        Text(
            f"{counts['items']} items answered: {counts['items_search']} in the search{proxy}, "
            f"{counts['items_baselines']} by baselines, {counts['items_winner']} by the winner"
        ),
    )
