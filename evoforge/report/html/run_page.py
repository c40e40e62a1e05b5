"""`report.html`: everything that there is to see of one run, on one page in one file.

Reads the record; a run that goes on, or that failed, has a page too.
"""

from collections.abc import Callable
from pathlib import Path

from evoforge.record import Record
from evoforge.report.html.answers import answers
from evoforge.report.html.candidates import candidates
from evoforge.report.html.effort import failures, states, timings
from evoforge.report.html.fitness import fitness
from evoforge.report.html.genes import genes
from evoforge.report.html.goals import goals
from evoforge.report.html.items import items
from evoforge.report.html.lineage import lineage
from evoforge.report.html.markup import Html
from evoforge.report.html.overview import lead, overview
from evoforge.report.html.page import Section, page
from evoforge.report.html.run import Run
from evoforge.report.html.winner import again, recipe
from evoforge.report.result import replace

FILE = "report.html"
# What a page shows, in order; what has nothing to show is left out.
SECTIONS: tuple[tuple[str, str, Callable[[Run], Html]], ...] = (
    ("overview", "Overview", overview),
    ("fitness", "Scores", fitness),
    ("genes", "Genes", genes),
    ("candidates", "Candidates", candidates),
    ("items", "Test items", items),
    ("lineage", "Family tree", lineage),
    ("goals", "Goals", goals),
    ("states", "Optimizer", states),
    ("recipe", "Recipe", recipe),
    ("timings", "Time", timings),
    ("failures", "Failures", failures),
    ("answers", "Answers", answers),
    ("again", "Do it again", again),
)
SCRIPTS = ("answers.js",)


def write(record: Record, path: Path | None = None) -> Path:
    """Write the page of a run; return where.

    Args:
        record: of the run.
        path: the file; None: `report.html` in the run folder.

    Raises:
        JournalError: it cannot be written.
    """
    where = record.folder / FILE if path is None else path
    replace(where, text(record))
    return where


def text(record: Record) -> str:
    """Return the page of a run."""
    run = Run(record)
    sections = [Section(key, title, make(run)) for key, title, make in SECTIONS]
    title = f"{run.result['protocol']['name']}: {record.folder.resolve().name}"
    return page(title, sections, lead=lead(run), scripts=SCRIPTS)
