"""Several runs in the terminal: a row for each, one for each group, and who is better than whom.

Makes rich tables out of compared runs; prints nothing itself.
"""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from evoforge.report.groups import content, over_seeds
from evoforge.report.ranks import Pair, Ranking, least
from evoforge.report.runs import Comparison
from evoforge.report.summary import LEVEL, Scale, higher, in_percent, p_value

# Wider tables cannot be read on 80 columns; more settings than that are told below, run by run.
MAX_COLUMNS = 3
# Of more of them the CSV and JSON files know.
MAX_SETTINGS = 12
MAX_NAMES = 6
# Stands beside a score that was not judged as the others were.
ODD = "≠"


def scale(found: Comparison) -> Scale:
    """Return how the scores of all runs are written."""
    return Scale(all(in_percent(run.result) for run in found.runs if run.result))


def table(found: Comparison) -> Table:
    """Return a row for each run, with what differs as columns."""
    numbers = scale(found)
    names = list(found.names)
    below = len(names) > MAX_COLUMNS
    low = any(not higher(run.result) for run in found.runs if run.result)
    title = found.counted + (" (lower is better)" if low else "")
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
    if (more := len(found.settings[0]) - min(len(names), MAX_SETTINGS)) > 0:
        notes.append(f"other settings that differ are in comparison.csv ({more})")
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


def ranks_table(found: Comparison) -> Table | None:
    """Return a row for each group that was ranked, the best first; None without a ranking."""
    ranking, numbers = found.ranking, scale(found)
    if ranking is None:
        return None
    title = f"Ranks over {len(ranking.blocks)} blocks: {some(ranking.blocks)}"
    shown = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.show_edge, shown.collapse_padding = False, True
    shown.add_column("group", overflow="fold", min_width=9)
    for name in ("rank", "mean", "gain", "better in", "p (t)", "p (rank)"):
        shown.add_column(name, justify="right", no_wrap=True)
    rows = zip(ranking.groups, ranking.average, ranking.means, strict=True)
    for group, rank, mean in rows:
        cells = [group, f"{rank:.2f}", numbers.number(float(mean))]
        pair = ranking.against(group)
        shown.add_row(*map(Text, [*cells, *(_against(pair, numbers) if pair else ())]))
    shown.caption, shown.caption_justify = Text("\n".join(reading(ranking, numbers))), "left"
    return shown


def _against(pair: Pair, numbers: Scale) -> list[str]:
    p = "-" if pair.p_holm is None else p_value(pair.p_holm).removeprefix("p=")
    by_rank = p_value(pair.p_rank_holm or 0.0).removeprefix("p=")
    gain = numbers.number(pair.gain, sign=True)
    return [gain, f"{pair.wins} of {pair.blocks}", p.removeprefix("p"), by_rank.removeprefix("p")]


def reading(ranking: Ranking, numbers: Scale) -> list[str]:
    """Return what a ranking says and how it is to be read, a sentence or two to a line."""
    count, blocks = len(ranking.pairs), len(ranking.blocks)
    best = next(group for group in ranking.groups if group != ranking.reference)
    first = ranking.against(best)
    assert first is not None  # all groups have blocks in common
    # The better one is the subject.
    said = [sentence(first if first.gain > 0 else first.turned(), numbers)]
    corrected = f", corrected for {count} pairs by Holm's method" if count > 1 else ""
    said.append(f"Gain, better in, p: against {ranking.reference}, block by block{corrected}.")
    if ranking.p is not None:
        verdict = f"Friedman's test of no difference at all: chi2 {ranking.chi2:.1f}"
        said.append(f"{verdict}, {_spaced(ranking.p)}.")
    said.append(
        "The t-test takes differences for normal. The rank test (Wilcoxon) does not, but over "
        f"{blocks} blocks it cannot say less than p = {least(blocks):.4g}, before any correction."
    )
    if ranking.incomplete:
        said.append(f"Not ranked, as some group has no score there: {some(ranking.incomplete)}.")
    if ranking.left_out:
        said.append(f"Left out, as too few blocks are the same: {'; '.join(ranking.left_out)}.")
    return said


def sentence(pair: Pair, numbers: Scale) -> str:
    """Return what a pair of groups comes to."""
    unit = " points" if numbers.percent else ""
    gain = f"{numbers.number(pair.gain, sign=True)}{unit}"
    if pair.low is not None and pair.high is not None:
        gain += f" {numbers.ends({'low': pair.low, 'high': pair.high})}"
    counted = f"in {pair.wins} of {pair.blocks} blocks, {gain}"
    if pair.p_holm is None:
        return f"{pair.first} against {pair.second}: better {counted}, the same in all (no test)."
    clear = pair.p_holm < LEVEL
    verb = "beats" if clear else "is not clearly different from"
    counted = f" {counted}" if clear else f": better {counted}"
    test = f"{_spaced(pair.p_holm)} (paired t-test)"
    return f"{pair.first} {verb} {pair.second}{counted}, {test}."


def some(names: Sequence[str]) -> str:
    """Return the first of some names, and whether there are more."""
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _spaced(p: float) -> str:
    return p_value(p).replace("=", " = ").replace("<", " < ")


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    # On one line, as a prompt is not.
    return f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())
