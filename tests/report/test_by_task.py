import pytest

from evoforge.report.by_task import broken, by_task
from evoforge.report.card import card
from evoforge.report.result import build
from evoforge.report.table import summary
from tests.report.conftest import recipe_of
from tests.report.test_table import shown

PROTOCOL = {
    "task": "suite",
    "metric": "score",
    "tasks": {
        "mgsm": {"metric": "acc_lang", "protocol": "sakana", "prompt_is": "own"},
        "jp": {"metric": "score", "tasks": {"jcola": {"metric": "balanced_acc"}}},
    },
    "least": {"jp": 0.6},
}
METRICS = {
    "score": 0.5,
    "violation": 0.1,
    "mgsm/acc_lang": 0.5,
    "mgsm/acc": 0.6,
    "jp/score": 0.5,
    "jp/jcola/balanced_acc": 0.5,
}


@pytest.fixture
def suite(new_run):
    run = new_run(protocol=PROTOCOL)
    (recipe,) = run.race([(4, 2, False)])
    run.test("winner", recipe, [1.0, 0.0], metrics=METRICS)
    fine = METRICS | {"violation": 0.0, "jp/score": 0.75}
    run.test("baseline:ja", recipe_of({}), [1.0, 0.0], metrics=fine)
    run.journal.finish()
    return run


def test_every_task_has_its_main_metric_and_limit(suite):
    found = build(suite.record)
    rows = by_task(found, {"winner": found["winner"], "ja": found["baselines"]["ja"]})
    assert [(row.task, row.metric, row.limit) for row in rows] == [
        ("jp", "score", 0.6),
        ("jp/jcola", "balanced_acc", None),
        ("mgsm", "acc_lang", None),
    ]
    assert rows[0].scores == {"winner": 0.5, "ja": 0.75}


def test_a_broken_limit_is_a_sentence(suite):
    found = build(suite.record)
    said = "The winner breaks a limit on the test items: jp score 0.500, the limit is 0.6."
    assert broken(found) == said
    found["winner"]["test"]["metrics"]["violation"] = 0.0
    assert broken(found) is None


def test_a_task_alone_has_no_rows(complete):
    found = build(complete.record)
    assert by_task(found, {"winner": found["winner"]}) == []
    assert "by task" not in shown(summary(complete.record, found))


def test_tables_have_a_row_for_each_task(suite):
    text = shown(summary(suite.record, build(suite.record)), 80)
    lines = [line.split() for line in text.splitlines()]
    assert ["task", "metric", "winner", "ja", "at", "least"] in lines
    assert ["jp", "score", "50.0", "75.0", "60.0"] in lines
    assert ["mgsm", "acc_lang", "50.0", "50.0", "-"] in lines
    # No column for each of them.
    assert "jp/score" not in text
    assert "breaks a limit" in text
    assert "Its tasks: jp/jcola; mgsm (sakana, own prompt)." in text


def test_the_card_has_a_row_for_each_task(suite):
    text = card(suite.record, build(suite.record))
    assert "| task | metric | winner | ja |" in text
    assert "| jp/jcola | balanced\\_acc | 50.0 | 50.0 |" in text
    assert "breaks a limit" in text
