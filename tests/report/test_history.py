from dataclasses import replace

import numpy as np
import pytest

from evoforge.report.history import best_so_far, decoded, histories, parse, values, winner
from evoforge.report.route import winning
from evoforge.space import Param


def test_best_so_far_never_falls_and_ignores_failures(complete):
    (history,) = histories(complete.record)
    best = history.best[~np.isnan(history.best)]
    assert (np.diff(best) >= 0).all()
    assert history.failed.any()
    assert best[-1] == np.nanmax(history.scores)


def test_who_was_screened_by_a_proxy_has_no_score_and_did_not_fail(new_run):
    run = new_run()
    run.race([(8, 8, True), (40, 20, False), (8, 1, True)])
    (history,) = histories(run.record)
    assert np.isnan(history.scores[[0, 2]]).all()
    assert history.screened.tolist() == [True, False, True]
    assert not history.failed.any()
    assert history.best[-1] == 0.5
    assert history.means()[1].tolist() == [0.5]


def test_who_left_early_keeps_its_score_but_is_not_the_best(new_run):
    run = new_run()
    run.race([(8, 8, False), (40, 20, False), (40, 30, False), (16, 4, False)])
    (history,) = histories(run.record)
    assert history.items.tolist() == [8, 40, 40, 16]
    assert history.dropped.tolist() == [True, False, False, True]
    assert history.scores.tolist() == [1.0, 0.5, 0.75, 0.25]
    assert np.isnan(history.best[0])
    assert history.best[1:].tolist() == [0.5, 0.75, 0.75]


def test_every_generation_has_its_own_most_items(complete):
    (history,) = histories(complete.record)
    assert not history.dropped.any()
    assert set(history.items) == {40}


def test_best_is_the_lowest_where_lower_is_better(complete):
    (history,) = histories(complete.record)
    history = replace(history, fitness=-history.fitness)
    assert history.best[-1] == np.nanmin(history.scores)


def test_who_breaks_a_limit_is_not_the_best_whatever_its_score():
    nan = np.nan
    scores, fitness = np.array([nan, 0.9, nan, 0.5, 0.4]), np.array([-np.inf, -0.2, 3, 0.5, 0.4])
    assert best_so_far(scores, fitness) == pytest.approx([nan, 0.9, 0.9, 0.5, 0.5], nan_ok=True)


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


def test_kinds_are_decoded_as_the_space_does():
    params = [
        Param("a.x.w", -1.0, 2.0, 0.0),
        Param("a.x.l", 0.01, 10.0, 1.0, "log"),
        Param("a.x.i", 2, 5, 3, "integer"),
        Param("a.x.c", 0, 2, 0, "choice", ("p", "q", "r")),
        Param("a.x.in", 0, 1, 0.5, "binary"),
    ]
    facts = {
        key: [getattr(p, key[:-1] if key == "kinds" else key) for p in params]
        for key in ("low", "high", "kinds")
    }
    genomes = np.random.default_rng(0).random((50, 5))
    genomes[0], genomes[1], genomes[2] = 0.0, 1.0, 0.5
    found = decoded(genomes, facts)
    for index, param in enumerate(params):
        wanted = [param.decode(float(gene)) for gene in genomes[:, index]]
        if param.kind == "choice":
            wanted = [param.choices.index(value) for value in wanted]
        # The space rounds to six decimals.
        assert found[:, index] == pytest.approx(wanted, abs=1e-6), param.kind


def test_kinds_spare_the_recipes(walked, monkeypatch):
    first, second = histories(walked.record)
    monkeypatch.setattr(walked.record, "recipe", None)
    numbers = values(walked.record, second)
    inside = second.names.index("pass1_layer2.ja.in")
    assert numbers[:, inside].tolist() == [float(c.genome[inside] > 0.5) for c in second.candidates]
    with pytest.raises(TypeError):
        values(walked.record, first)  # an old journal's are in its recipes


def test_some_candidates_can_be_read_alone(complete):
    (history,) = histories(complete.record)
    part = values(complete.record, history, np.array([4, 2]))
    assert part.tolist() == values(complete.record, history)[[4, 2]].tolist()


def test_the_stage_that_made_the_winners_source_has_its_winner(walked):
    first, second = histories(walked.record)
    (source,) = [s for s in winning(walked.record)["sources"] if "recipe" in s]
    assert first.candidates[winner(walked.record, first)].recipe == source["hash"]
    number = walked.record.roles()["winner", "test"]
    recipe = walked.record.evaluation(number).recipe
    assert second.candidates[winner(walked.record, second)].recipe == recipe


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
