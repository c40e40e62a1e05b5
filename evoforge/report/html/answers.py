"""What the models answered to the test items, to be browsed and filtered."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from evoforge.evaluation import ItemResult
from evoforge.record import WINNER
from evoforge.report.examples import cut, language
from evoforge.report.html.markup import Html, block, element, join, paragraph
from evoforge.report.html.run import Run
from evoforge.report.protocol import tasks
from evoforge.report.result import fact

# Items at most, and characters of all answers together; each has a share of these.
MOST_ITEMS, ROOM = 10_000, 8_000_000
# Characters of an answer, at least and at most.
SHORTEST, LONGEST = 60, 1200
LONGEST_QUESTION = 2000
CHOICES = (
    ("all", "all items"),
    ("gained", "winner better than the best source"),
    ("lost", "winner worse than the best source"),
    ("only", "only the winner has the best score"),
    ("wrong", "winner not at the best score"),
    ("language", "winner in the wrong language"),
)


def answers(run: Run) -> Html:
    """Return the answers with a form to filter them; nothing before models were tested."""
    found = {n: e for n, e in run.tested.items() if n == WINNER or n in run.sources}
    if not found:
        return Html("")
    ids = list(dict.fromkeys(r.item for e in found.values() for r in e.results))
    content = {
        "models": [{"name": name, "winner": name == WINNER} for name in found],
        "best": list(found).index(run.best_source) if run.best_source in found else None,
        "winner": list(found).index(WINNER) if WINNER in found else None,
        "percent": run.scale.percent,
        "sign": 1 if run.higher else -1,
        "language": language(run.result["protocol"]),
        "items": _items(run, found, ids[:MOST_ITEMS]),
    }
    left = len(ids) - MOST_ITEMS
    said = (
        f"{min(len(ids), MOST_ITEMS):,} test items with what the sources and the winner answered"
        + (f"; {left:,} more are not on this page." if left > 0 else ".")
    )
    return join(
        [
            paragraph(said),
            _form(run),
            element("div", "", id="answers-list"),
            block(content, id="answers-data"),
        ]
    )


def _items(run: Run, found: Mapping[str, Any], ids: Sequence[str]) -> list[list[Any]]:
    """Return for each item: id, task, question, references, picture, and an answer a model."""
    questions = _questions(run)
    pictures = {e.item: e.picture for e in run.record.examples() if e.picture is not None}
    limit = max(SHORTEST, min(LONGEST, ROOM // max(1, len(ids) * len(found))))
    results = {name: {r.item: r for r in each.results} for name, each in found.items()}
    names = sorted(tasks(run.result["protocol"]), key=len, reverse=True)
    rows = []
    for item in ids:
        question, references = questions.get(item, (None, []))
        picture = pictures.get(item)
        rows.append(
            [
                item,
                next((name for name in names if item.startswith(f"{name}/")), ""),
                None if question is None else cut(question, LONGEST_QUESTION),
                references,
                None if picture is None else b64encode(picture).decode(),
                [_answer(own.get(item), limit) for own in results.values()],
            ]
        )
    return rows


def _questions(run: Run) -> dict[str, tuple[str, list[str]]]:
    """Return questions and references by item: of all if the run kept them, else of examples."""
    found = {e.item: (e.question, list(e.answers)) for e in run.record.examples()}
    kept = fact(run.record, "questions")
    if isinstance(kept, dict):
        found |= {item: (question, list(gold)) for item, (question, gold) in kept.items()}
    return found


def _answer(result: ItemResult | None, limit: int) -> list[Any] | None:
    """Return text, score, whether the language is wrong (None: none is wanted), and tokens."""
    if result is None:
        return None
    wrong = None if "lang" not in result.metrics else not result.metrics["lang"] > 0
    score = float(f"{result.score:.4g}")
    return [cut(result.completion, limit), score, wrong, result.tokens, result.reason]


def _form(run: Run) -> Html:
    options = [element("option", said, value=key) for key, said in CHOICES]
    names = [n for n, own in tasks(run.result["protocol"]).items() if not tasks(own)]
    choices = [element("option", "all tasks", value="")]
    choices += [element("option", name, value=name) for name in names]
    fields = [
        _field("Text in question or answer", Html('<input type="search" name="text">')),
        _field("Items", element("select", join(options), name="which")),
    ]
    if names:
        fields.append(_field("Task", element("select", join(choices), name="task")))
    return element("form", join(fields), class_="filters", id="answers-form")


def _field(label: str, control: Html) -> Html:
    return element("label", join([element("span", label), control], ""))
