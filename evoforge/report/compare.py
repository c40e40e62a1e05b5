"""Several runs side by side: `python -m evoforge.report.compare FOLDER ...`.

Finds the runs in the folders, says what differs between their configurations, ranks what was tried
over the seeds, and writes `comparison.html`, `.png`, `.json` and `.csv`. Reads records only: runs
that go on, or that died, are listed with their status.
"""

import argparse
import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from evoforge.errors import EvoforgeError, JournalError
from evoforge.report import ranks
from evoforge.report.comparison_table import over_seeds_table, ranks_table, table
from evoforge.report.difference import Settings, differences
from evoforge.report.groups import content, over_seeds, ranked
from evoforge.report.result import replace
from evoforge.report.runs import Comparison, Run, above, find, incomparable, read
from evoforge.report.summary import best_source, metric
from evoforge.terminal import Terminal


def compare(
    folders: Sequence[Path],
    out: Path,
    *,
    by: Sequence[str] = (),
    against: str | None = None,
) -> Comparison:
    """Compare the runs in some folders; write the four files into `out`.

    Args:
        folders: run folders, or folders with run folders inside, as a sweep leaves them.
        out: where to write; made if it is not there.
        by: the settings whose values are ranked; empty: all that differ but the seed and the task.
        against: the group that all others are compared with; None: the best.

    Raises:
        ConfigError: a folder holds no run, or there is no such setting or group.
        JournalError: `out` cannot be written.
    """
    # Deferred: the tables need neither matplotlib nor a page.
    from evoforge.report.comparison_plot import draw
    from evoforge.report.html.comparison import write

    found = compared(folders, by=by, against=against)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(f"cannot write {out}: {error.strerror}; set --out") from error
    said = {
        "runs": found.rows,
        "over_seeds": [content(row) for row in over_seeds(found)],
        "ranking": found.ranking and ranks.content(found.ranking),
    }
    text = json.dumps(said, indent=2, ensure_ascii=False, allow_nan=False)
    replace(out / "comparison.json", text + "\n")
    replace(out / "comparison.csv", _csv(found.rows))
    draw(found, out / "comparison.png")
    write(found, out / "comparison.html")
    return found


def compared(
    folders: Sequence[Path], *, by: Sequence[str] = (), against: str | None = None
) -> Comparison:
    """Read the runs in some folders and find out what tells them apart; write nothing."""
    paths = find(folders)
    parent = above(paths)
    runs = [read(path, parent) for path in paths]
    settings = differences([run.settings for run in runs])
    order = sorted(range(len(runs)), key=lambda i: [_sortable(v) for v in settings[i].values()])
    runs, settings = [runs[i] for i in order], [settings[i] for i in order]
    odd = incomparable(runs)
    rows = [
        {**_row(run, own), "not_comparable": odd.get(run.name)}
        for run, own in zip(runs, settings, strict=True)
    ]
    found = Comparison(tuple(runs), tuple(settings), tuple(rows), odd)
    return changed(found, ranking=ranked(found, by, against))


def _sortable(value: Any) -> tuple[int, float, str]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return (0, float(value), "") if number else (1, 0.0, str(value))


def _row(run: Run, settings: Settings) -> dict[str, Any]:
    row: dict[str, Any] = {"run": run.name, **{f"config.{k}": v for k, v in settings.items()}}
    names = ["score", "low", "high", "se", "best_source", "best_source_score"]
    names += ["difference", "p", "p_holm", "protocol", "test_items"]
    row |= {"status": run.status, "metric": None, **dict.fromkeys(names)}
    row |= {"evaluations": None, "items": None, "minutes": None, "hops": None}
    if run.result is None:
        return row
    result, best = run.result, best_source(run.result)
    row |= {"metric": metric(result), "evaluations": result["counts"]["evaluations"]}
    row["items"] = result["counts"]["items"]
    row["minutes"] = round(result["seconds"]["total"] / 60, 2)
    path = (result["winner"] or {}).get("path")
    row["hops"] = path and len(path["hops"])
    row |= {key: run.test[key] for key in ("score", "low", "high", "se")} if run.test else {}
    row |= {"protocol": result["protocol"]["hash"], "test_items": run.test and run.test["set"]}
    if best is not None:
        there = result["baselines"][best]["test"]
        row |= {"best_source": best, "best_source_score": there and there["score"]}
        against = result["paired"].get(best) or {}
        row |= {key: against.get(key) for key in ("difference", "p", "p_holm")}
    return row


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def show(found: Comparison, console: Console) -> None:
    """Print the runs, those together that differ in their seed alone, and who is better."""
    console.print(table(found))
    for several in (over_seeds_table(found), ranks_table(found)):
        if several is not None:
            console.print(several)


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evoforge.report.compare",
        description="Compare runs: tables, and comparison.html, .png, .json and .csv.",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, help="where to write; default: the common parent")
    parser.add_argument(
        "--by",
        default="",
        metavar="SETTING",
        help="rank this setting (several with commas), over all others; default: all that differ",
    )
    parser.add_argument(
        "--against",
        metavar="GROUP",
        help="compare each group with this one alone, such as random_search; default: all pairs",
    )
    options = parser.parse_args(arguments)
    console = Terminal()
    by = [name for name in options.by.split(",") if name]
    try:
        out = options.out or above(find(options.folders))
        show(compare(options.folders, out, by=by, against=options.against), console)
    except EvoforgeError as error:
        Terminal(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        return 2
    console.print(f"wrote {escape(str(out))}/comparison.html, .png, .json and .csv", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
