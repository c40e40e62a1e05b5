from evoforge.path import Hop
from evoforge.recipe import Recipe
from evoforge.report.route import counts, depths, scaled, scaling, shares, winning

PATH = (Hop("a", 0), Hop("b", 3, -2.0), Hop("a", 1, 0.5), Hop("a", 1))


def test_counts_by_hand():
    assert counts(PATH) == "4 hops, 2 switches, 1 repeat"
    assert counts(PATH[:1]) == "1 hop, 0 switches, 0 repeats"


def test_shares_come_the_largest_first():
    assert list(shares((Hop("b", 0), *PATH[2:])).items()) == [("a", "67%"), ("b", "33%")]


def test_scales_are_told_with_their_sign():
    # (1 - 2 + 0.5 + 1) / 4 = 0.125.
    assert scaling(PATH) == "scales -2 to 1, mean 0.125, 1 negative"
    assert scaling(PATH[2:]) == "scales 0.5 to 1, mean 0.75"


def test_a_path_of_scales_of_one_has_none():
    assert scaling(PATH[:1]) == "all scales are 1"
    assert not scaled(PATH[:1])
    assert scaled(PATH)


def test_the_model_that_leads_comes_first_and_stages_tell_how_deep_it_is(new_run):
    run = new_run()
    # The journal sorts by name: ja before math_a.
    best = run.paths(layers={"math_a": 4, "ja": 6}, generations=1)
    assert list(depths(run.record, best.content).items()) == [("math_a", 4), ("ja", 6)]


def test_without_a_stage_that_tells_layers_are_counted_on_the_path(new_run):
    content = {"sources": [{"name": "b"}, {"name": "a"}], "path": [["b", 5, 1.0], ["a", 1, 1.0]]}
    assert list(depths(new_run().record, content).items()) == [("b", 6), ("a", 2)]


def test_the_winner_has_a_recipe_and_an_unfinished_run_has_none(new_run):
    run = new_run()
    assert winning(run.record) is None
    best = run.paths(generations=1)
    run.win(best)
    assert Recipe(winning(run.record)).hash == best.hash
