import numpy as np
import pytest

from evoforge.report.history import histories, parse, values, winner


def test_best_so_far_never_falls_and_ignores_failures(complete):
    (history,) = histories(complete.record)
    best = history.best[~np.isnan(history.best)]
    assert (np.diff(best) >= 0).all()
    assert history.failed.any()
    assert best[-1] == np.nanmax(history.scores)


def test_best_is_the_lowest_where_lower_is_better(complete):
    (history,) = histories(complete.record)
    history.info["direction"] = "min"
    assert history.best[-1] == np.nanmin(history.scores)


def test_values_are_those_of_the_recipes(complete):
    (history,) = histories(complete.record)
    numbers = values(complete.record, history)
    recipe = complete.record.recipe(history.candidates[0].recipe)
    assert numbers[0, 0] == recipe.content["values"]["all"]["ja"]["weight"]
    # Names come in the order weight, density for each source.
    assert numbers[0, 3] == recipe.content["values"]["all"]["math_a"]["density"]


def test_a_gene_that_recipes_do_not_name_lies_between_its_bounds(complete):
    (history,) = histories(complete.record)
    history.info["names"] = [f"hop{i}.scale" for i in range(6)]
    numbers = values(complete.record, history)
    # Bounds 0 and 1.5.
    assert numbers[0] == pytest.approx(1.5 * history.candidates[0].genome)


def test_evaluations_go_on_over_stages_in_the_order_they_ran(new_run):
    run = new_run()
    run.search(stage="ps", generations=2)
    run.search(stage="dfs", generations=2)
    first, second = histories(run.record)
    assert (first.stage, second.stage) == ("ps", "dfs")
    assert second.evaluations[0] == first.evaluations[-1] + 1


def test_a_cached_candidate_spends_nothing(new_run):
    run = new_run()
    run.search(sources=("ja",), parameters=("t",), generations=20, population=8)
    (history,) = histories(run.record)
    cached = sum(candidate.cached for candidate in history.candidates)
    assert cached > 0
    assert history.evaluations[-1] == 160 - cached


def test_the_winner_is_found_by_its_recipe(complete):
    (history,) = histories(complete.record)
    at = winner(complete.record, history)
    assert at is not None
    number = complete.record.roles()["winner", "test"]
    assert history.candidates[at].recipe == complete.record.evaluation(number).recipe


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("all.ja.weight", ("all", "ja", "weight")),
        ("layer3.qwen2.5.density", ("layer3", "qwen2.5", "density")),
        ("hop3.scale", ("hop3", "", "scale")),
        ("t", ("", "", "t")),
    ],
)
def test_names_are_read_as_group_source_parameter(name, parts):
    assert parse(name) == parts
