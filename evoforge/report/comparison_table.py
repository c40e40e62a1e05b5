"""Several runs in the terminal: a row for each, and one for those that differ in their seed alone.

Makes rich tables out of compared runs; prints nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from evoforge.report.groups import content, over_seeds
from evoforge.report.summary import Scale, higher, in_percent, p_value

if TYPE_CHECKING:
    from evoforge.report.compare import Comparison

# Wider tables cannot be read on 80 columns; more settings than that are told below, run by run.
MAX_COLUMNS = 3
# Of more of them the CSV and JSON files know.
MAX_SETTINGS = 12
# Stands beside a score that was not judged as the others were.
ODD = "≠"


def scale(found: Comparison) -> Scale:
    """Return how the scores of all runs are written."""
    return Scale(all(in_percent(run.result) for run in found.runs if run.result))


def table(found: Comparison) -> Table:
    """Return a row for each run, with what differs as columns."""
    numbers = scale(found)
    names = list(found.settings[0])
    below = len(names) > MAX_COLUMNS
    low = any(not higher(run.result) for run in found.runs if run.result)
    title = f"{len(found.runs)} runs" + (" (lower is better)" if low else "")
    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.show_edge, shown.collapse_padding = False, True
    shown.add_column("run", overflow="fold", min_width=5)
    columns = [] if below else names
    for name in columns:
        shown.add_column(Text(name), justify="right", overflow="fold", min_width=5)
    for name in ("test score", "minus best\nsource", "evalua-\ntions", "min-\nutes"):
        shown.add_column(name, justify="right", no_wrap=True)
    # A column that says the same of all is left out.
    complete = all(run.status == "finished" for run in found.runs)
    if not complete:
        shown.add_column("status")
    for run, settings, row in zip(found.runs, found.settings, found.rows, strict=True):
        gap = "-"
        if row["difference"] is not None:
            unsure = f" {p_value(row['p_holm'])}" if row["p_holm"] >= 0.001 else ""
            gap = f"{numbers.number(row['difference'], sign=True)}{unsure}"
        score = numbers.score(run.test) + (f" {ODD}" if run.name in found.odd else "")
        cells = [run.name, *(_shown(settings[name]) for name in columns), score]
        cells += [gap, _shown(row["evaluations"]), _shown(row["minutes"])]
        shown.add_row(*map(Text, cells if complete else [*cells, run.status]))
    notes = [f"{ODD} not comparable: {name} has {why}" for name, why in found.odd.items()]
    if below:
        notes += _told(found, names[:MAX_SETTINGS])
    if (more := len(names) - MAX_SETTINGS) > 0:
        notes.append(f"{more} more settings differ: see comparison.csv")
    shown.caption, shown.caption_justify = Text("\n".join(notes)) if notes else None, "left"
    return shown


def _told(found: Comparison, names: Sequence[str]) -> list[str]:
    """Return a line for each run with its own settings."""
    return [
        f"{run.name}: {', '.join(f'{name} {_shown(settings[name])}' for name in names)}"
        for run, settings in zip(found.runs, found.settings, strict=True)
    ]


def over_seeds_table(found: Comparison) -> Table | None:
    """Return a row for each group of runs that differ in their seed alone, None without any."""
    rows, numbers = over_seeds(found), scale(found)
    if not rows:
        return None
    shown = Table(title="Over seeds", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.show_edge, shown.collapse_padding = False, True
    shown.add_column("runs", overflow="fold", min_width=9)
    for name in ("seeds", "mean test score", "± over seeds"):
        shown.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        error = "-" if row.se_seeds is None else numbers.number(row.se_seeds)
        cells = [row.label, str(len(row.seeds)), numbers.score(content(row)), error]
        shown.add_row(*map(Text, cells))
    said = "the mean's 95 % interval over the test items; ±: its standard error over the seeds"
    shown.caption, shown.caption_justify = Text(said), "left"
    return shown


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    # On one line, as a prompt is not.
    return f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())
