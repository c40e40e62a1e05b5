import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from evoforge.origin import Descent
from evoforge.recipe import canonical
from evoforge.record import Example, ItemResult
from evoforge.report.html.__main__ import main
from evoforge.report.html.run import Run
from evoforge.report.html.run_page import FILE, text, write
from evoforge.schema import ORIGINS
from tests.report.conftest import evaluation_of, recipe_of
from tests.report.html.parsed import Parsed

EVIL = "</script><img src=x onerror=alert(1)>"
ALWAYS = ["overview", "timings", "again"]


def parsed(run):
    found = Parsed(text(run.record))
    found.check()
    return found


def test_a_finished_run_shows_everything(complete):
    found = parsed(complete)
    assert found.sections == [
        "overview", "fitness", "genes", "candidates", "items", "lineage", "recipe", "timings",
        "failures", "answers", "again",
    ]  # fmt: skip
    assert "The winner" in found.text
    kinds = [row["kind"] for row in found.data["candidates"]]
    assert len(kinds) == 20
    assert kinds.count("winner") == 1
    assert kinds.count("failed") == complete.record.count("failures")


def test_the_best_so_far_is_that_of_the_history(complete):
    history = Run(complete.record).stages[0]
    drawn = parsed(complete).data["best"]
    assert drawn[-1]["score"] == pytest.approx(100 * history.best[-1])
    assert [row["score"] for row in drawn] == sorted(row["score"] for row in drawn)


def test_a_run_that_has_only_begun_has_a_page(new_run):
    found = parsed(new_run())
    assert found.sections == ALWAYS
    assert "has no winner yet" in found.text


def test_a_run_that_goes_on_has_a_page(new_run):
    run = new_run()
    run.baselines()
    run.search(generations=2)
    found = parsed(run)
    assert "fitness" in found.sections
    assert "recipe" not in found.sections
    assert "unfinished" in found.text


def test_a_run_whose_candidates_all_failed_says_why(new_run):
    run = new_run()
    run.search(failures=1.0)
    found = parsed(run)
    assert "failures" in found.sections
    assert "candidates" not in found.sections
    assert "out of memory" in found.text
    assert "No candidate could be scored" in found.text


def test_a_run_of_two_searches_shows_both(walked):
    found = parsed(walked)
    assert {row["stage"] for row in found.data["candidates"]} == {"ps", "dfs"}
    assert {"map-1", "rest-1"} <= found.charts.keys()
    assert "The path, hop by hop" in found.text


def test_candidates_judged_otherwise_are_told_apart(new_run):
    run = new_run()
    run.race([(8, 4, False), (4, 4, False), (8, 2, True), (8, 6, False)])
    kinds = [row["kind"] for row in parsed(run).data["candidates"]]
    assert kinds == ["candidate", "on fewer items", "screened by a proxy", "candidate"]


def test_a_run_without_origins_says_that_there_is_no_tree(complete):
    assert "cma_es makes candidates without parents" in parsed(complete).text


def test_the_winners_family_is_drawn(complete):
    won = Run(complete.record).winner(Run(complete.record).stages[0])
    generation = Run(complete.record).stages[0].candidates[won].generation
    assert generation
    connection = complete.journal._connection
    connection.execute(ORIGINS)
    for number in range(5):
        parents = [[number - 1, 0], [number - 1, 1]] if number else []
        row = ("sbx+gaussian" if number else "sample", json.dumps(parents))
        rows = [("ps", number, position, *row) for position in range(4)]
        connection.executemany("INSERT INTO origins VALUES (?, ?, ?, ?, ?)", rows)
    found = parsed(complete)
    nodes = found.data["nodes-0"]
    assert [row["winner"] for row in nodes].count(True) == 1
    assert len(nodes) == 1 + 2 * generation
    assert len(found.data["edges-0"]) == 2 + 4 * (generation - 1)
    assert "better than all parents" in found.text


def test_the_optimizers_state_is_drawn_number_by_number(complete):
    for generation in range(5):
        state = {"sigma": 0.3 / (generation + 1), "restarts": 0, "values": {"fitness": [1.0]}}
        complete.journal.add_state("ps", generation, state)
    found = parsed(complete)
    charts = [spec for key, spec in found.charts.items() if key.startswith("state-")]
    assert len(charts) == 1  # restarts never change, values are no number
    assert charts[0]["data"]["values"][1] == {"generation": 1, "value": 0.15}


def test_answers_can_be_told_apart(new_run):
    run = new_run()
    for name, scores in (("baseline:ja", [1.0, 0.0, 0.0]), ("winner", [0.0, 1.0, 0.0])):
        run.test(name, recipe_of({}, name=name), scores)
    run.journal.add_examples([Example("test-1", "1+1=", ("2",), b"\x89PNG")])
    held = parsed(run).held("answers-data")
    assert [model["name"] for model in held["models"]] == ["ja", "winner"]
    assert (held["winner"], held["best"]) == (1, 0)
    assert held["items"][0][:3] == ["test-0", "", None]
    assert held["items"][1][:4] == ["test-1", "", "1+1=", ["2"]]
    assert held["items"][1][4] == "iVBORw=="
    assert held["items"][1][5] == [["4", 0.0, None, 1, ""], ["4", 1.0, None, 1, ""]]


def test_questions_that_were_kept_are_shown_with_their_answers(new_run):
    run = new_run()
    run.test("winner", recipe_of({}), [1.0])
    run.journal._insert_meta({"questions": canonical({"test-0": ["1+1=?", ["2"]]})})
    assert parsed(run).held("answers-data")["items"][0][2:4] == ["1+1=?", ["2"]]


@pytest.fixture
def evil(new_run):
    """A run whose names, questions, answers and reasons are all an attack."""
    run = new_run(config={"seed": 1, "note": EVIL}, protocol={"task": EVIL, "metric": EVIL})
    run.journal._connection.execute(
        "UPDATE meta SET value=? WHERE key='sources'",
        (canonical([{"name": EVIL, "path": EVIL, "license": EVIL, "hash": EVIL}]),),
    )
    names = [f"all.{EVIL.replace('.', '')}.weight"]
    facts = {"names": names, "low": [0.0], "high": [1.0], "merge": EVIL, "optimizer": EVIL}
    facts |= {
        "population": 4,
        "evaluations": 4,
        "minutes": None,
        "metric": EVIL,
        "kinds": ["linear"],
    }
    run.journal.add_stage(EVIL, facts)
    recipes = [recipe_of({"all": {EVIL: {"weight": i / 4}}}) for i in range(4)]
    asked = [(np.array([i / 4]), recipe) for i, recipe in enumerate(recipes)]
    made = [Descent(EVIL, ((0, 0),) if i else ()) for i in range(4)]
    items = [f"{EVIL}{i}" for i in range(3)]
    run.journal.add_generation(EVIL, 0, asked, items, origins=made)
    run.journal.add_state(EVIL, 0, {EVIL: 0.5})
    run.journal.add_state(EVIL, 1, {EVIL: 0.25})
    answered = [ItemResult(i, 1.0, {EVIL: 1.0}, EVIL, 3, EVIL) for i in items]
    for position, recipe in enumerate(recipes):
        scored = [replace(r, score=float(position > n)) for n, r in enumerate(answered)]
        found = evaluation_of(recipe, scored, EVIL if position == 1 else "")
        with run.journal.transaction():
            number = run.journal.add_evaluation(found)
            run.journal.assign(EVIL, 0, position, number)
            if position in (2, 3):
                name = "winner" if position == 3 else f"baseline:{EVIL}"
                for part in ("search", "select", "test"):
                    run.journal.add_role(name, part, recipe.hash, number)
    run.journal.tell(EVIL, 0, np.array([0.0, -np.inf, 0.5, 1.0]))
    run.journal.add_examples([Example(items[0], EVIL, (EVIL,))])
    return run


def test_nothing_that_a_model_or_a_user_wrote_becomes_html(evil):
    found = parsed(evil)
    assert "img" not in found.tags
    assert found.text.count(EVIL) > 20
    assert found.held("answers-data")["items"][0][5][0][0] == EVIL
    for spec in found.charts.values():
        assert "onerror" not in canonical(_expressions(spec))


def _expressions(spec):
    """Return what Vega would read as a program or a field."""
    if isinstance(spec, list):
        return [_expressions(inner) for inner in spec]
    if not isinstance(spec, dict):
        return []
    read = ("test", "calculate", "filter", "expr", "labelExpr", "field")
    own = [value for key, value in spec.items() if key in read and isinstance(value, str)]
    return own + [_expressions(inner) for key, inner in spec.items() if key != "values"]


def test_the_page_is_written_into_the_run_folder(complete):
    assert write(complete.record) == complete.record.folder / FILE
    assert (complete.record.folder / FILE).read_text("utf-8").endswith("</html>\n")


def test_the_command_writes_where_it_is_told(complete, tmp_path):
    out = tmp_path / "page.html"
    assert main([str(complete.record.folder), "--out", str(out)]) == 0
    Parsed(out.read_text("utf-8")).check()


def test_the_command_says_that_there_is_no_run(tmp_path, caplog):
    assert main([str(tmp_path)]) == 1
    assert "there is no run in" in caplog.text


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_a_browser_draws_every_chart_and_runs_no_answer(evil, tmp_path):
    path = write(evil.record, tmp_path / "page.html")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        profile,
        "--virtual-time-budget=20000",
    ]
    command = ["chromium", *options, "--dump-dom", path.as_uri()]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    count = len(Parsed(path.read_text("utf-8")).charts)
    assert f'data-drawn="{count}"' in drawn
    assert "data-failed" not in drawn
    assert "<img" not in re.sub(r"<script.*?</script>", "", drawn, flags=re.S)
    assert 'class="pager"' in drawn


def test_a_search_for_several_goals_shows_its_front_by_name(new_run):
    run = new_run()
    run.baselines()
    best = run.search(generations=2)
    for number in range(1, 3):
        run.judge(f"finalist:ps:{number}", recipe_of({}, name=str(number)), 0.3 * number)
    run.win(best)
    values = {"fitness": [0.1, 0.2, None, 0.4], "tokens": [5.0, 6.0, 7.0, 8.0]}
    for generation in range(2):
        state = {"objectives": {"fitness": "max", "tokens": "min"}, "values": values}
        run.journal.add_state("ps", generation, state)
    found = parsed(run)
    assert "goals" in found.sections
    assert "Goals: fitness (max), tokens (min)" in found.text
    behind, ahead, _ = found.charts["front-0"]["layer"]
    assert len(behind["data"]["values"]) == 6  # nobody knows what failures are worth
    assert any("best" in row["name"] for row in ahead["data"]["values"])


def test_archives_are_drawn_with_the_winner_marked(complete):
    history = Run(complete.record).stages[0]
    won = Run(complete.record).winner(history)
    axes = [{"name": "tokens", "low": 0, "high": 10}, {"name": "hops", "low": 0, "high": 4}]
    archive = {"quality": "fitness", "axes": axes, "bins": 2, "coverage": 0.5}
    archive |= {"cells": [[[0, 1], 0.5, won], [[1, 1], 0.25, won + 1]]}
    complete.journal.add_state("ps", 4, {"archives": [archive]})
    found = parsed(complete)
    assert [row["winner"] for row in found.data["archive-0"]] == [True, False]
    assert "50 % of the cells are held" in found.text
