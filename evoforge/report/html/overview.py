"""What a run found, in a few numbers, a table and sentences."""

from typing import Any

from evoforge.report import protocol as words
from evoforge.report.by_task import by_task
from evoforge.report.html.markup import Html, join, paragraph, table, tiles
from evoforge.report.html.page import note
from evoforge.report.html.run import Run
from evoforge.report.result import PARTS
from evoforge.report.summary import (
    comparisons,
    judged_by,
    p_value,
    reading,
    winner_and_best,
)


def lead(run: Run) -> Html:
    """Return what stands below the page's title: what was searched, and how."""
    result = run.result
    how = " then ".join(f"{s['merge']} by {s['optimizer']}" for s in result["stages"].values())
    said = [how or "no search yet", f"seed {result['seed']}", str(result["status"])]
    return paragraph(", ".join(said))


def overview(run: Run) -> Html:
    """Return the winner's numbers, every model's scores, and what they mean."""
    cautions = [note(line) for line in _cautions(run)]
    said = [*map(paragraph, reading(run.result)), *cautions, _scores(run), *_tasks(run)]
    return join([tiles(_tiles(run)), *said, paragraph(" ".join(judged_by(run.result)))])


def _cautions(run: Run) -> list[str]:
    counts = run.result["counts"]
    if run.result["status"] == "failed":
        return ["No candidate could be scored; the reasons are under Failures."]
    if counts["failures"] * 10 > counts["evaluations"]:
        return [f"{counts['failures']} of {counts['evaluations']} evaluations failed."]
    return []


def _tiles(run: Run) -> list[tuple[str, object, object]]:
    result, scale = run.result, run.scale
    found: list[tuple[str, object, object]] = []
    tested = (result["winner"] or {}).get("test")
    if tested is not None:
        ends = f"95 % {scale.ends(tested)}, {tested['items']} items"
        found.append(("winner on the test items", scale.number(tested["score"]), ends))
    best = run.best_source
    if best is not None:
        part = next(p for p in reversed(PARTS) if result["baselines"][best][p] is not None)
        entry = result["baselines"][best][part]
        found.append((f"best source, {part} items", scale.number(entry["score"]), best))
        paired = result["paired"].get(best)
        if paired is not None:
            shown = scale.number(paired["difference"], sign=True)
            found.append(("winner less best source", shown, _interval(run, paired)))
    counts, seconds = result["counts"], result["seconds"]
    found.append(("evaluations", f"{counts['evaluations']:,}", f"{counts['failures']} failed"))
    found.append(("answers", f"{counts['items']:,}", f"{counts['items_search']:,} in the search"))
    found.append(("minutes", f"{seconds['total'] / 60:.1f}", _pace(run)))
    return found


def _interval(run: Run, paired: Any) -> str:
    return f"{run.scale.ends(paired)}, {p_value(paired['p_holm'])}"


def _pace(run: Run) -> str:
    minutes = run.result["seconds"]["total"] / 60
    return (
        f"{run.result['counts']['evaluations'] / minutes:.1f} evaluations each" if minutes else ""
    )


def _scores(run: Run) -> Html:
    scale, body = run.scale, []
    for row in run.rows:
        label = row.label + (" (best source)" if row.best else "")
        against = ""
        if row.paired is not None:
            against = f"{scale.difference(row.paired)} {p_value(row.paired['p_holm'])}"
        body.append([label, *(scale.score(row.entry[part]) for part in PARTS), against])
    if not body:
        return Html("")
    count = comparisons(run.result)
    several = f"; p-values corrected for {count} comparisons by Holm's method" if count > 1 else ""
    said = (
        f"{run.metric}, with 95 % intervals. The search saw the search items, the select items "
        "chose the winner, the test items were held out. Last column: the winner less the model on "
        f"the test items, paired{several}."
    )
    strong = [n for n, row in enumerate(run.rows) if row.kind == "winner"]
    head = ["model", *PARTS, "winner less it"]
    return join([paragraph(said), table(head, body, numbers={1, 2, 3, 4}, strong=strong)])


def _tasks(run: Run) -> list[Html]:
    """Return the scores of a suite's tasks; nothing for a task alone."""
    models = winner_and_best(run.result)
    found = by_task(run.result, models)
    if not found:
        return []
    head = ["task", "metric", *models, "limit"]
    body = [
        [row.task, row.metric]
        + [None if s is None else f"{100 * s:.1f}" for s in row.scores.values()]
        + ["" if row.limit is None else f"{100 * row.limit:.1f}"]
        for row in found
    ]
    said = f"By task, in percent: {'; '.join(words.parts(run.result['protocol']))}."
    return [paragraph(said), table(head, body, numbers=range(2, len(head)))]
