import logging

import numpy as np
import pytest
import torch

from evoforge.errors import ConfigError
from evoforge.merge.breadcrumbs import Breadcrumbs
from evoforge.merge.choice import Choice
from evoforge.merge.dfs import Dfs
from evoforge.merge.linear import Linear
from evoforge.merge.model_stock import ModelStock
from evoforge.merge.nearswap import Nearswap
from evoforge.merge.nuslerp import Nuslerp
from evoforge.merge.passthrough import Passthrough
from evoforge.merge.ram import Ram
from evoforge.merge.slerp import Slerp
from evoforge.merge.task_arithmetic import TaskArithmetic
from evoforge.merge.ties import Ties
from evoforge.merge.ties_dfs import TiesDfs
from evoforge.path import Hop, hops
from evoforge.recipe import Recipe
from tests.conftest import open_pico

UNIT = {"low": 0.0, "high": 1.0}
FIRST = {"low": 0.0, "high": 2.0, "init": 1.0}


def values(merger, recipe):
    """Return the numbers that a merger starts from a recipe with."""
    return merger.recipe(merger.encode(recipe)).content["values"]


def column(merger, recipe, key="weight", group="all"):
    found = values(merger, recipe)[group]
    return pytest.approx([found[name][key] for name in merger.searched], abs=1e-6)


def ties(pool, **weight):
    found = {name: {"weight": weight[name], "density": 0.4} for name in "abc"}
    return Ties(pool).recipe_of({"all": found})


def random(merger, seed=0):
    return merger.recipe(np.random.default_rng(seed).random(merger.space.dim))


# The groups of `layer` take the numbers of the one group that held their tensors.
def test_finer_groups_take_the_numbers_of_the_coarse_one(pool):
    recipe = ties(pool, a=0.2, b=0.5, c=0.9)
    fine = Ties(pool, weight=UNIT, density=UNIT | {"low": 0.1}, granularity="layer")
    found = values(fine, recipe)
    assert set(found) == {"embedding", *(f"layer{i}" for i in range(4)), "final_norm", "lm_head"}
    coarse = recipe.content["values"]["all"]
    assert all(group[s] == coarse[s] for group in found.values() for s in "abc")


# 75 x 16 of 11,632 elements are the embedding: of it alone w = 1, so the mean is 0.103.
def test_a_coarse_group_takes_the_mean_in_which_each_element_counts_alike(pool):
    fine = Linear(pool, weight=UNIT, granularity="layer")
    found = {g: {s: {"weight": float(g == "embedding")} for s in "abc"} for g in fine.groups}
    tensors = pool.tensors("a")
    sizes = {name: tensors.shape(name).numel() for name in tensors}
    share = sizes["model.embed_tokens.weight"] / sum(sizes.values())
    found = values(Linear(pool, weight=UNIT), fine.recipe_of(found))
    assert found["all"]["a"]["weight"] == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("granularity", ["block", "layer", "module", "tensor"])
def test_every_granularity_leads_back_to_itself(granularity, pool):
    merger = Ties(pool, weight=UNIT, granularity=granularity, block_size=2)
    recipe = random(merger)
    assert merger.recipe(merger.encode(recipe)) == recipe


def test_the_points_of_a_profile_are_found_from_its_layers(pool):
    merger = Linear(pool, weight=UNIT, granularity="profile", block_size=2)
    genome = np.random.default_rng(1).random(merger.space.dim)
    np.testing.assert_allclose(merger.encode(merger.recipe(genome)), genome, atol=3e-6)


# What linear divides by the sum, 0.9, task arithmetic adds as it is; a third source has no part.
def test_divided_weights_become_shares_and_give_the_same_model(pool):
    soup = Linear(pool).recipe_of({"all": {"a": {"weight": 0.6}, "b": {"weight": 0.3}}})
    added, mean = TaskArithmetic(pool, weight=UNIT), Linear(pool, weight=UNIT)
    assert column(added, soup) == [2 / 3, 1 / 3, 0]
    assert column(mean, soup) == [0.6, 0.3, 0]
    first, second = mean.build(soup), added.build(added.recipe(added.encode(soup)))
    for name in first.names:
        torch.testing.assert_close(first.tensor(name), second.tensor(name), rtol=0, atol=2e-6)


def test_what_a_method_does_not_drop_is_kept_in_full(pool):
    recipe = random(TaskArithmetic(pool, weight=UNIT))
    assert (
        column(Ties(pool, weight=UNIT, density=UNIT | {"low": 0.1}), recipe, "density") == [1] * 3
    )
    dropping = Breadcrumbs(pool, weight=UNIT, gamma={"low": 0.0, "high": 0.2})
    assert column(dropping, recipe, "gamma") == [0] * 3


# Steps 1/2 and 1/3 weigh three sources alike: 1/2 (1 - 1/3) = 1/3.
def test_steps_of_slerp_and_weights_say_the_same(pool):
    alike = Linear(pool).recipe_of({"all": {s: {"weight": 0.7} for s in "abc"}})
    slerp, nuslerp = Slerp(pool, t=UNIT), Nuslerp(pool, weight=UNIT)
    assert column(slerp, alike, "t") == [1 / 2, 1 / 3]
    steps = slerp.recipe_of({"all": {"b": {"t": 0.5}, "c": {"t": 1 / 3}}})
    assert column(nuslerp, steps) == [1 / 3] * 3
    assert column(slerp, nuslerp.recipe(nuslerp.encode(steps)), "t") == [1 / 2, 1 / 3]


# From a, b, c with steps 0.2 and 0.5: weights 0.4, 0.1, 0.5; then from c: 0.1 / 0.6 and 0.4.
def test_steps_of_slerp_are_found_again_in_another_order(pool, pico):
    steps = Slerp(pool, t=UNIT).recipe_of({"all": {"b": {"t": 0.2}, "c": {"t": 0.5}}})
    other = Slerp(open_pico({name: pico[name] for name in "cba"}), t=UNIT)
    assert column(other, steps, "t") == [1 / 6, 0.4]


def test_methods_that_weigh_by_themselves_start_from_weights_that_are_all_the_same(pool):
    alike = TaskArithmetic(pool).recipe_of({"all": {s: {"weight": 0.5} for s in "abc"}})
    assert values(Ram(pool, lambda_=FIRST), alike)["all"]["*"]["lambda_"] == 1.5
    with pytest.raises(
        ConfigError, match=r"by ties, whose numbers \(density, lambda_, weight\) say"
    ):
        ModelStock(pool, lambda_=FIRST).encode(ties(pool, a=0.5, b=0.5, c=0.4))


@pytest.mark.parametrize("method", [Nearswap, Passthrough])
def test_methods_without_an_equal_mix_cannot_start_from_one(method, pool):
    alike = Linear(pool).recipe_of({"all": {s: {"weight": 0.7} for s in "abc"}})
    with pytest.raises(ConfigError, match="a merge by linear from a, whose numbers say nothing to"):
        method(pool).encode(alike)


def test_what_does_not_fit_the_ranges_is_moved_into_them_with_one_warning(pool, caplog):
    recipe = ties(pool, a=1.2, b=0.5, c=-0.3)
    with caplog.at_level(logging.WARNING):
        found = values(Ties(pool, weight=UNIT, density=0.5), recipe)["all"]
    assert [found[name]["weight"] for name in "abc"] == [1.0, 0.5, 0.0]
    (record,) = caplog.records
    assert "all.a.weight is 1.2 there and 1 here; all.a.density is 0.4 there" in record.message
    assert "; and 2 more; widen the ranges in merge" in record.message


def test_sources_are_found_by_their_weights_whatever_they_are_called(pool, pico, caplog):
    other = open_pico({"base": pico["base"], "c": pico["a"], "y": pico["b"], "z": pico["c"]})
    assert column(Ties(other, weight=UNIT, density=0.4), ties(pool, a=0.1, b=0.2, c=0.3)) == [
        0.1,
        0.2,
        0.3,
    ]
    assert not caplog.records


def test_a_source_of_other_weights_is_taken_by_its_name_and_said(pool, pico, save_pico, caplog):
    new = save_pico("a", seed=9, near=pico["base"])
    other = open_pico({"base": pico["base"], "a": new, "b": pico["b"], "c": pico["c"]})
    assert column(Ties(other, weight=UNIT, density=0.4), ties(pool, a=0.1, b=0.2, c=0.3)) == [
        0.1,
        0.2,
        0.3,
    ]
    assert "a has other weights here than in the recipe" in caplog.text


def test_recipes_of_other_models_are_refused(pool, pico):
    fewer = open_pico({name: pico[name] for name in ("base", "a", "b")})
    with pytest.raises(ConfigError, match="takes c, which is none of a, b here; add it to models"):
        Ties(fewer, weight=UNIT).encode(ties(pool, a=0.1, b=0.2, c=0.3))
    swapped = open_pico({"base": pico["a"], "x": pico["base"], "b": pico["b"], "c": pico["c"]})
    with pytest.raises(ConfigError, match="takes a, which is none of x, b, c here"):
        Ties(swapped, weight=UNIT).encode(ties(pool, a=0.1, b=0.2, c=0.3))


def test_the_source_that_is_passed_through_keeps_its_name(pool, pico):
    merger = Passthrough(pool, granularity="layer")
    recipe = random(merger)
    other = Passthrough(open_pico({n: pico[n] for n in "cab"}), granularity="layer")
    here, there = values(other, recipe), recipe.content["values"]
    for group in merger.groups:
        taken = "abc"[round(there[group]["*"]["source"])]
        assert "cab"[round(here[group]["*"]["source"])] == taken


def test_a_choice_starts_with_the_recipes_method_else_the_first_that_it_fits(pool):
    methods = {"ties": lambda p: Ties(p, weight=UNIT), "slerp": lambda p: Slerp(p, t=UNIT)}
    methods["linear"] = lambda p: Linear(p, weight=UNIT)
    merger = Choice(pool, methods=methods)
    own = Linear(pool).recipe_of({"all": {s: {"weight": 0.2} for s in "abc"}})
    assert merger.recipe(merger.encode(own)).content["method"] == "linear"
    other = random(TaskArithmetic(pool, weight=UNIT))
    assert merger.recipe(merger.encode(other)).content["method"] == "ties"


def test_a_joint_search_starts_with_both_halves_or_with_a_merge_as_it_is(pool):
    merger = TiesDfs(
        pool, ps=lambda p: Ties(p, weight=UNIT), dfs=lambda p, merged: Dfs(p, merged, sources=["b"])
    )
    recipe = random(merger)
    assert merger.recipe(merger.encode(recipe)) == recipe
    merge = ties(pool, a=0.1, b=0.2, c=0.3)
    path = merger.recipe(merger.encode(merge)).content
    assert hops(path) == tuple(Hop("merged", i) for i in range(4))
    weights = path["sources"][0]["recipe"]["values"]["all"]
    assert [weights[s]["weight"] for s in "abc"] == [0.1, 0.2, 0.3]


PATH = [Hop("a", 0), Hop("a", 1, 0.9), Hop("b", 1, 1.2), Hop("b", 1, 0.8), Hop("a", 3, 1.1)]


def path(pool, hops=PATH, **options):
    merger = Dfs(pool, sources=["a", "b"], repeats=3, scale_range={"low": 0.5, "high": 1.5})
    return merger.recipe_of(hops)


# a 0, a 1, b 1 stand in the first pass, b 1 again in the second, a 3 in the third.
def test_hops_find_the_next_slot_that_fits(pool):
    merger = Dfs(pool, sources=["a", "b"], repeats=3)
    genome = merger.encode(path(pool))
    taken = [n for n, gene in zip(merger.space.names, genome, strict=True) if gene == 5 / 6]
    slots = [
        "pass0_layer0.a",
        "pass0_layer1.a",
        "pass0_layer1.b",
        "pass1_layer1.b",
        "pass2_layer3.a",
    ]
    assert taken == [f"{slot}.in" for slot in slots]
    assert hops(merger.recipe(genome).content) == tuple(PATH)


@pytest.mark.parametrize(
    "options", [{"repeats": 2}, {"repeats": 2, "max_hops": 5}, {"scale": "pair"}]
)
def test_a_path_is_the_same_in_other_layouts(options, pool):
    merger = Dfs(pool, sources=["a", "b"], **options)
    # Of two passes none has room for the last layer: it is the end that every path has.
    assert hops(merger.recipe(merger.encode(path(pool))).content) == tuple(PATH)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"repeats": 1},
            "5 hops does not fit into 1 passes through all layers, hop 4 has no place",
        ),
        ({"max_hops": 4}, "its path has 5 hops, here paths have 4 at most; set merge.max_hops"),
        ({"sources": ["b", "a"]}, "begins with layer 0 of a, here paths begin with layer 0 of b"),
        ({"sources": ["a", "c"]}, "the recipe takes b, which is none of a, c here"),
    ],
)
def test_a_path_that_does_not_fit_is_refused(options, sentence, pool):
    merger = Dfs(pool, **{"sources": ["a", "b"], **options})
    with pytest.raises(ConfigError, match=sentence):
        merger.encode(path(pool))


@pytest.mark.parametrize("scale", ["none", "low_rank", "network"])
def test_scales_that_cannot_be_told_are_left_out_with_a_warning(scale, pool, caplog):
    merger = Dfs(pool, sources=["a", "b"], scale=scale)
    found = hops(merger.recipe(merger.encode(path(pool))).content)
    assert [(h.source, h.layer, h.scale) for h in found] == [(h.source, h.layer, 1) for h in PATH]
    assert (
        "4 scales of the path to start from are others here, the first 1 instead of 0.9"
        in caplog.text
    )


def test_what_scales_multiply_is_compared(pool, caplog):
    Dfs(pool, sources=["a", "b"], scale_target="branch").encode(path(pool))
    assert "scales multiply the branch here, and the stream in the path" in caplog.text


def test_a_path_through_a_merge_and_one_without_are_told_apart(pool):
    merged = Dfs(pool, merged=True, sources=["b"])
    found = merged.over(ties(pool, a=0.1, b=0.2, c=0.3))
    through = found.recipe(merged.encode(path(pool)))  # what leads there leads here
    assert [hop.source for hop in hops(through.content)] == ["merged", "merged", "b", "b", "merged"]
    with pytest.raises(ConfigError, match=r"leads through a merge \(merged\), and this search has"):
        Dfs(pool, sources=["a", "b"]).encode(through)


def test_weights_and_paths_do_not_start_from_each_other(pool):
    merge = ties(pool, a=0.1, b=0.2, c=0.3)
    with pytest.raises(
        ConfigError, match="it is a merge of weights, and this search is over paths"
    ):
        Dfs(pool).encode(merge)
    with pytest.raises(ConfigError, match="it is a path through layers, and this search is over"):
        Ties(pool, weight=UNIT).encode(path(pool))


def test_a_recipe_of_another_shape_is_refused(pool):
    content = dict(ties(pool, a=0.1, b=0.2, c=0.3).content)
    content["options"] = {**content["options"], "granularity": "layer"}
    with pytest.raises(ConfigError, match="it is a merge of models of another shape"):
        Ties(pool, weight=UNIT).encode(Recipe(content))
