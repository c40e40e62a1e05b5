from evoforge.report.spending import items_by_asker, spending
from tests.report.conftest import recipe_of


def test_every_answer_has_one_who_asked(complete):
    found = items_by_asker(complete.record)
    select = found.pop("select")
    assert sum(found.values()) == complete.record.count("items")
    assert select == 0
    # Five baselines on three parts of 40 items.
    assert found["baselines"] == 600
    # The winner had answered the search items as a candidate.
    assert found["winner"] == 80


def test_finalists_are_search_and_a_winner_asks_for_the_rest_alone(new_run):
    run = new_run()
    recipes = run.race([(8, 4, False), (8, 6, False), (8, 2, False)])
    for place in (0, 1):
        run.test(f"finalist:search:{place + 1}", recipes[place], [1.0, 0.0, 1.0], part="select")
    for part, count in (("search", 12), ("select", 3), ("test", 5)):
        run.test("winner", recipes[1], [1.0] * count, part=part)
    found = items_by_asker(run.record)
    # 3 candidates x 8, 2 finalists x 3; the winner 4 further search items and 5 of the test.
    assert found == {"search": 30, "select": 6, "proxy": 0, "winner": 9, "baselines": 0}
    assert run.record.count("items") == 39


def test_who_is_a_baseline_and_a_candidate_was_asked_as_a_baseline(new_run):
    run = new_run()
    known = run._recipe(["all.ja.weight"], [0.5])
    run.test("baseline:start_point", known, [1.0] * 8, part="search")
    recipes = run.race([(12, 4, False)])
    assert recipes[0] == known
    found = items_by_asker(run.record)
    assert (found["baselines"], found["search"]) == (8, 4)


def test_a_proxy_is_counted_apart(new_run):
    run = new_run()
    run.race([(8, 4, True), (8, 6, True), (12, 6, False)])
    found = items_by_asker(run.record)
    assert (found["proxy"], found["search"]) == (16, 12)


def test_a_block_after_a_block_counts_once(new_run):
    run = new_run()
    (recipe,) = run.race([(12, 4, False)])
    # A later generation asks for a subset, and for what was never asked.
    run.test("winner", recipe, [1.0] * 6, part="search")
    run.test("winner", recipe, [1.0] * 20, part="search")
    found = items_by_asker(run.record)
    assert (found["search"], found["winner"]) == (12, 8)


def test_a_failure_has_no_answers(new_run):
    run = new_run()
    run.judge("baseline:ja", recipe_of({}), 0.5, reason="NaN")
    assert set(items_by_asker(run.record).values()) == {0}


def test_every_evaluation_has_its_price_in_order(new_run):
    run = new_run()
    recipes = run.race([(8, 4, False), (12, 6, True)])
    run.test("winner", recipes[0], [1.0] * 10, part="search")
    found = list(spending(run.record))
    assert [(one.number, one.asker, one.items) for one in found] == [
        (1, "search", 8),
        (2, "proxy", 12),
        (3, "winner", 2),
    ]
    assert {round(one.seconds, 6) for one in found} == {0.46}
