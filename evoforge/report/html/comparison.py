"""`comparison.html`: what tells runs apart, and what it came to, on one page in one file.

Knows compared runs; what is not finished, or cannot be read, has its place too.
"""

import os
from pathlib import Path
from urllib.parse import quote

from evoforge.report.comparison_table import ODD, reading, scale, sentence, some
from evoforge.report.groups import content, grouped, over_seeds
from evoforge.report.html.comparison_charts import ranked, scores
from evoforge.report.html.comparison_curves import curves
from evoforge.report.html.comparison_items import items
from evoforge.report.html.comparison_settings import settings
from evoforge.report.html.markup import Html, details, element, join, paragraph, table, tiles
from evoforge.report.html.page import Section, note, page
from evoforge.report.html.run_page import FILE as RUN_PAGE
from evoforge.report.ranks import Pair, Ranking
from evoforge.report.result import replace
from evoforge.report.runs import Comparison, Run
from evoforge.report.summary import higher, judged_by, p_value

FILE = "comparison.html"
# More settings than that have no room in a table; the CSV file has them all.
MAX_SETTINGS = 12


def write(found: Comparison, path: Path) -> Path:
    """Write the page of a comparison; return where.

    Args:
        found: the runs.
        path: the file; links to the pages of runs are seen from its folder.

    Raises:
        JournalError: it cannot be written.
    """
    replace(path, text(found, path.parent))
    return path


def text(found: Comparison, folder: Path) -> str:
    """Return the page of a comparison that will lie in a folder."""
    ranking = found.ranking
    sections = [
        Section("overview", "Overview", _overview(found)),
        Section("ranks", "Ranks", Html("") if ranking is None else _ranks(found, ranking)),
        Section("curves", "Curves", curves(found)),
        Section("scores", "Test scores", scores(found)),
        Section("settings", "Settings", settings(found)),
        Section("items", "Items", items(found)),
        Section("runs", "Runs", _runs(found, folder)),
        Section("trouble", "Trouble", _trouble(found)),
    ]
    title = f"Comparison of {found.counted}"
    return page(title, sections, lead=_lead(found))


def _lead(found: Comparison) -> Html:
    """Return what stands below the title: what was judged, and what the runs differ in."""
    results = [run.result for run in found.runs if run.result]
    lines = list(dict.fromkeys(line for result in results for line in judged_by(result)))
    names = found.names
    said = f"They differ in {', '.join(names)}." if names else "They differ in nothing."
    if len(found.runs) < 2:
        said = ""
    return join([paragraph(line) for line in [*lines[:4], said] if line])


def _overview(found: Comparison) -> Html:
    numbers, ranking = scale(found), found.ranking
    results = [run.result for run in found.runs if run.result]
    done = sum(run.status == "finished" for run in found.runs)
    tested = [run for run in found.runs if run.test and run.name not in found.odd]
    told: list[tuple[object, object, object]] = [("runs", len(found.runs), f"{done} finished")]
    if ranking is not None:
        mean = numbers.number(float(ranking.means[0]))
        told.append(("best group by rank", ranking.groups[0], f"mean test score {mean}"))
    rows = [row for row in found.rows if any(run.name == row["run"] for run in tested)]
    if rows:
        lower = any(not higher(result) for result in results)
        best = min(rows, key=lambda row: row["score"] if lower else -row["score"])
        said = f"{numbers.ends(best)}, {best['run']}"
        told.append(("best test score of one run", numbers.number(best["score"]), said))
    told.append(_total("evaluations", [r["counts"]["evaluations"] for r in results]))
    told.append(_total("answers", [r["counts"]["items"] for r in results]))
    hours = sum(result["seconds"]["total"] for result in results) / 3600
    told.append(("hours", f"{hours:.2f}", "all runs, one after another"))
    words = [] if ranking is None else [paragraph(line) for line in reading(ranking, numbers)[:1]]
    if found.odd:
        names = some(list(found.odd))
        words.append(note(f"Judged otherwise than the rest: {names}; see Trouble."))
    return join([tiles(told), *words, _over_seeds(found)])


def _total(name: str, numbers: list[int]) -> tuple[object, object, object]:
    each = f"{sum(numbers) / len(numbers):,.0f} a run" if numbers else ""
    return name, f"{sum(numbers):,}", each


def _over_seeds(found: Comparison) -> Html:
    """Return a row for each group of several seeds; nothing without any."""
    rows, numbers = over_seeds(found), scale(found)
    if not rows:
        return Html("")
    body = [
        [
            row.label,
            len(row.seeds),
            numbers.score(content(row)),
            None if row.se_seeds is None else numbers.number(row.se_seeds),
            ", ".join(numbers.number(score) for score in row.seeds),
        ]
        for row in rows
    ]
    head = ["group", "seeds", "mean test score", "± over seeds", "each"]
    said = (
        "The mean's 95 % interval is over the test items; ± is its standard error over the seeds."
    )
    return join([paragraph(said), table(head, body, numbers={1, 2, 3, 4})])


def _ranks(found: Comparison, ranking: Ranking) -> Html:
    """Return who is better than whom, with tests."""
    numbers, body = scale(found), []
    for group, rank, mean in zip(ranking.groups, ranking.average, ranking.means, strict=True):
        pair = ranking.against(group)
        cells = [group, f"{rank:.2f}", numbers.number(float(mean))]
        body.append([*cells, *(["", "", "", ""] if pair is None else _pair(found, pair))])
    head = ["group", "average rank", "mean test score", *_head(ranking.reference)]
    shown = table(head, body, numbers=range(1, len(head)), strong={0})
    blocks = f"Over {len(ranking.blocks)} blocks: {', '.join(ranking.blocks)}."
    said = [paragraph(line) for line in [blocks, *reading(ranking, numbers)[1:]]]
    every = [[pair.first, pair.second, *_pair(found, pair)] for pair in ranking.pairs]
    names = ["group", "against", *_head("it")]
    pairs = details("All pairs", table(names, every, numbers=range(2, len(names))))
    told = details("In words", join(paragraph(sentence(pair, numbers)) for pair in ranking.pairs))
    return join([shown, *said, ranked(ranking, list(grouped(found))), pairs, told])


def _head(reference: str) -> list[str]:
    return [f"gain over {reference}", "better in", "p (t-test)", "p (rank test)"]


def _pair(found: Comparison, pair: Pair) -> list[str]:
    numbers = scale(found)
    gain = numbers.number(pair.gain, sign=True)
    if pair.low is not None and pair.high is not None:
        gain += f" {numbers.ends({'low': pair.low, 'high': pair.high})}"
    tests = [None if p is None else p_value(p) for p in (pair.p_holm, pair.p_rank_holm)]
    bare = ["–" if said is None else said.removeprefix("p=").removeprefix("p") for said in tests]
    return [gain, f"{pair.wins} of {pair.blocks}", *bare]


def _runs(found: Comparison, folder: Path) -> Html:
    """Return a row for each run, with a link to its page where it has one."""
    numbers, names = scale(found), found.names[:MAX_SETTINGS]
    body = []
    for run, own, row in zip(found.runs, found.settings, found.rows, strict=True):
        gap = None if row["difference"] is None else numbers.number(row["difference"], sign=True)
        score = None if run.test is None else numbers.score(run.test)
        body.append(
            [
                _link(run, folder),
                run.status,
                *(_value(own[name]) for name in names),
                f"{score} {ODD}" if run.name in found.odd else score,
                gap,
                row["evaluations"],
                row["items"],
                row["minutes"],
            ]
        )
    last = ["test score", "minus best source", "evaluations", "answers", "minutes"]
    head = ["run", "status", *names, *last]
    more = len(found.settings[0]) - len(names)
    said = (
        [paragraph(f"Other settings that differ are in comparison.csv ({more}).")] if more else []
    )
    return join([table(head, body, numbers=range(2 + len(names), len(head))), *said])


def _link(run: Run, folder: Path) -> object:
    there = run.folder / RUN_PAGE
    if not there.is_file():
        return run.name
    return element("a", run.name, href=quote(os.path.relpath(there, folder.resolve())))


def _value(value: object) -> object:
    return f"{value:g}" if isinstance(value, float) else value


def _trouble(found: Comparison) -> Html:
    """Return the runs that failed, stopped or do not compare, and why; nothing without any."""
    body = []
    for run in found.runs:
        told = [] if run.status == "finished" else [run.reason or _why(run)]
        failures = run.result["counts"]["failures"] if run.result else 0
        if failures and run.result:
            told.append(f"{failures} of {run.result['counts']['evaluations']} evaluations failed")
        if run.name in found.odd:
            told.append(f"not comparable: {found.odd[run.name]}")
        if told:
            body.append([run.name, run.status, "; ".join(told)])
    return table(["run", "status", "what"], body) if body else Html("")


def _why(run: Run) -> str:
    if run.status == "not started":
        return "it has no journal"
    if run.status == "failed":
        return "no candidate could be scored"
    found = run.result["counts"]["evaluations"] if run.result else 0
    return f"it stopped, or goes on: {found:,} evaluations so far"
