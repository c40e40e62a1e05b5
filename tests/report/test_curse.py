import math
from dataclasses import replace

import numpy as np
import pytest

from evoforge.report.curse import curse, expected_maximum
from evoforge.report.history import histories
from evoforge.report.result import build
from tests.report.conftest import recipe_of


# Simulated before this was written: equal candidates at 50 %, points that the best looks better.
@pytest.mark.parametrize(
    ("count", "items", "points"),
    [(1000, 100, 16.3), (1000, 250, 10.1), (1000, 1069, 5.0), (100, 100, 12.5)],
)
def test_the_best_of_equal_candidates_looks_better_than_it_is(count, items, points):
    found = expected_maximum(count) * math.sqrt(0.25 / items)
    assert 100 * found == pytest.approx(points, abs=0.2)


def test_the_expected_maximum_of_few_is_known():
    # 0, 1 / sqrt(pi), 3 / (2 sqrt(pi)).
    known = [0.0, 1 / math.sqrt(math.pi), 1.5 / math.sqrt(math.pi)]
    assert [expected_maximum(n) for n in (1, 2, 3)] == pytest.approx(known, abs=1e-4)


def test_the_expected_maximum_is_that_of_draws():
    drawn = np.random.default_rng(0).normal(size=(4000, 180)).max(axis=1)
    assert expected_maximum(180) == pytest.approx(drawn.mean(), abs=0.03)


def test_the_winner_falls_from_search_to_test(new_run):
    run = new_run()
    recipes = run.race([(40, 20, False), (40, 32, False), (40, 30, False)])
    # Not the best of the search won, but the third.
    run.test("winner", recipes[2], [1.0] * 12 + [0.0] * 8, part="select")
    run.test("winner", recipes[2], [1.0] * 50 + [0.0] * 50)
    found = build(run.record)["winner"]["curse"]
    assert (found["stage"], found["candidates"], found["items"]) == ("search", 3, 40)
    assert (found["best"], found["chosen"]) == (0.8, 0.75)
    assert (found["select"], found["test"]) == (0.6, 0.5)
    assert found["optimism"] == pytest.approx(0.3)
    # Three at 50 % on 40 items: 0.84628 * sqrt(0.25 / 40), a little more as s^2 divides by n - 1.
    wanted = 1.5 / math.sqrt(math.pi) * math.sqrt(0.25 / 40) * math.sqrt(100 / 99)
    assert found["if_equal"] == pytest.approx(wanted, rel=1e-4)


def test_who_left_early_is_not_the_best_but_was_compared(new_run):
    run = new_run()
    recipes = run.race([(40, 20, False), (8, 8, False), (8, 2, True), (40, 28, False)])
    run.test("winner", recipes[3], [1.0, 0.0])
    found = build(run.record)["winner"]["curse"]
    assert (found["best"], found["candidates"], found["items"]) == (0.7, 3, 40)


def test_items_that_do_not_count_tell_nothing_of_the_luck_there_was(new_run):
    run = new_run()
    # Of 40 search items 10 count, of 100 test items 50.
    weights = {40: [0.1] * 10 + [0.0] * 30}
    recipes = run.race([(40, 20, False), (40, 32, False)], weights=weights)
    scores = ([1.0] * 25 + [0.0] * 25) * 2
    run.test("winner", recipes[1], scores, weights=[0.02] * 50 + [0.0] * 50)
    found = build(run.record)["winner"]
    assert found["test"]["counted"] == 50
    wanted = 1 / math.sqrt(math.pi) * math.sqrt(0.25 / 10) * math.sqrt(50 / 49)
    assert found["curse"]["if_equal"] == pytest.approx(wanted, rel=1e-4)


def test_a_winner_that_no_candidate_was_has_no_score_it_was_chosen_by(new_run):
    run = new_run()
    run.race([(40, 20, False)])
    run.test("winner", recipe_of({}, name="recommended"), [1.0, 0.0])
    found = build(run.record)["winner"]["curse"]
    assert found["chosen"] is None
    assert found["if_equal"] == 0  # of one


def test_lower_is_better_turns_the_optimism_round(new_run):
    run = new_run()
    recipes = run.race([(40, 20, False), (40, 8, False)])
    run.test("winner", recipes[1], [1.0, 0.0])
    (history,) = histories(run.record)
    history.info["direction"] = "min"
    history = replace(history, fitness=-history.fitness)
    won = {"test": run.record.evaluation(run.record.roles()["winner", "test"], with_items=True)}
    found = curse(run.record, [history], won, {"score": 0.5, "se": 0.5, "items": 2})
    assert (found["best"], found["optimism"]) == (0.2, pytest.approx(0.3))


def test_without_a_test_score_there_is_nothing_to_say(new_run):
    run = new_run()
    recipes = run.race([(40, 20, False)])
    run.test("winner", recipes[0], [1.0, 0.0], part="select")
    assert build(run.record)["winner"]["curse"] is None
