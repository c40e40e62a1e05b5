import json

import numpy as np
import pytest
import torch

from evoforge.errors import ConfigError, PoolError
from evoforge.merge.base import Mergers
from evoforge.merge.dfs import Dfs, whole
from evoforge.optimizer.cma_es import CmaEs
from evoforge.path import Hop, hops
from evoforge.recipe import Recipe
from tests.conftest import open_pico

NORM = "model.layers.1.input_layernorm.weight"
OUT = "model.layers.1.self_attn.o_proj.weight"
DOWN = "model.layers.{}.mlp.down_proj.weight"


@pytest.fixture
def dfs(pool):
    """Return a maker of mergers of paths through a and b, four layers each."""
    usual = {"sources": ["a", "b"], "max_hops": None}
    return lambda **options: Dfs(pool, **{**usual, **options})


def path(merger, *slots, scale=None):
    """Return the path of a genome in which only these slots are in; the rest is as at the start."""
    genome = merger.space.init
    genome[: 8 * 2] = 0.2
    genome[list(slots)] = 0.9
    return hops(merger.recipe(genome).content)


def names(found):
    return [f"{hop.source}{hop.layer}" for hop in found]


# 2 passes x (4 + 4) layers = 16 slots; a scale for each and for the end; 8 x 8 pairs; two factors
# of rank 2 for 8 layers; 8 hidden units of 3 inputs, bias and output, and a last bias: 41.
@pytest.mark.parametrize(
    ("scale", "genes"), [("none", 0), ("hop", 17), ("pair", 64), ("low_rank", 32), ("network", 41)]
)
def test_a_space_has_a_gene_for_each_slot_and_those_of_its_scales(dfs, scale, genes):
    space = dfs(scale=scale).space
    assert space.dim == 16 + genes
    assert [param.kind for param in space.params[:16]] == ["binary"] * 16
    assert {param.kind for param in space.params[16:]} <= {"linear"}


def test_the_paper_s_space_has_4288_genes(save_pico):
    # M = 32 + 32 layers, three times: T = 192 slots, and W over 64 x 64 pairs.
    small = {"num_hidden_layers": 32, "hidden_size": 4, "intermediate_size": 4, "head_dim": 2}
    folders = {name: save_pico(name, seed=0, **small) for name in "ab"}
    merger = Dfs(open_pico(folders), repeats=3, scale="pair")
    assert merger.space.dim == 192 + 4096
    assert names(hops(merger.recipe(merger.space.init).content)) == [f"a{i}" for i in range(32)]


def test_layers_are_laid_out_source_after_source_and_then_again(dfs):
    merger = dfs()
    assert merger.space.names[:3] == ("pass0_layer0.a.in", "pass0_layer1.a.in", "pass0_layer2.a.in")
    assert merger.space.names[4] == "pass0_layer0.b.in"
    assert merger.space.names[15] == "pass1_layer3.b.in"
    found = path(merger, 1, 6, 8, 13)
    assert names(found) == ["a0", "a1", "b2", "a0", "b1", "a3"]


def test_the_search_starts_with_the_first_model_itself(dfs, pool):
    merger = dfs()
    recipe = merger.recipe(merger.space.init)
    assert names(hops(recipe.content)) == ["a0", "a1", "a2", "a3"]
    assert [source["name"] for source in recipe.content["sources"]] == ["a"]
    candidate = merger.build(recipe)
    assert set(candidate.names) == set(pool.names)
    for name in candidate.names:
        assert torch.equal(candidate.tensor(name), pool.tensors("a")[name])


def test_the_start_is_the_first_model_but_not_for_sure(dfs):
    init = dfs().space.init
    assert init[:4] == pytest.approx([0.55] * 4)
    assert init[4:16] == pytest.approx([0.45] * 12)
    assert names(hops(dfs().recipe(init).content)) == ["a0", "a1", "a2", "a3"]


def test_the_start_may_be_the_paper_s(dfs):
    init = dfs(init_first=5 / 6, init_rest=0.5).space.init
    assert init[:4] == pytest.approx([0.5 + 2 / 6] * 4)
    assert (init[4:16] == 0.5).all()


def test_paths_have_room_for_half_as_many_layers_again(dfs):
    merger = dfs(max_hops="auto")
    assert merger.max_hops == 6
    assert len(path(merger, *range(16))) == 6


@pytest.mark.parametrize("slots", [(), (3,), (0,), (5, 6), (15,)])
def test_every_path_begins_and_ends_with_the_first_model(dfs, slots):
    found = path(dfs(), *slots)
    assert (found[0].source, found[0].layer) == ("a", 0)
    assert (found[-1].source, found[-1].layer) == ("a", 3)
    assert names(found).count("a3") == 1


def test_a_path_of_no_slots_is_the_first_and_the_last_layer(dfs):
    assert names(path(dfs())) == ["a0", "a3"]


def test_too_many_hops_lose_the_slots_with_the_lowest_genes(dfs):
    merger = dfs(max_hops=5)
    genome = np.full(merger.space.dim, 0.2)
    genome[[2, 5, 6, 9, 13]] = [0.9, 0.6, 0.8, 0.55, 0.7]
    # Two hops are the ends, so three of five slots stay: 0.9, 0.8 and 0.7.
    assert names(hops(merger.recipe(genome).content)) == ["a0", "a2", "b2", "b1", "a3"]


# The golden ratio's multiples less their whole parts: 0.618 for slot 1, 0.236, 0.090, 0.708.
def test_of_equally_sure_slots_the_same_leave_whatever_else_is_in(dfs):
    merger = dfs(max_hops=4)
    assert names(path(merger, 1, 2, 5, 6)) == ["a0", "a2", "b1", "a3"]


def test_of_equally_sure_slots_those_of_the_last_pass_leave_first(dfs):
    merger = dfs(max_hops=4)
    # Slot 10 is the second pass's a2, with 0.18 before 1 and 6 but in a later pass.
    assert names(path(merger, 1, 6, 10)) == ["a0", "a1", "b2", "a3"]


def test_too_long_paths_of_an_optimizer_that_knows_switches_favour_no_layer(dfs):
    merger = dfs(repeats=1, scale="none", max_hops=4, init_first=0.5, init_rest=0.5)
    asked = CmaEs(merger.space, population=400, seed=0).ask()
    assert set(np.unique(asked)) == {0.25, 0.75}
    kept = [slot.name for genome in asked for slot in merger._walked(genome)]
    counts = {model: sum(f".{model}" in name for name in kept) for model in "ab"}
    # Both ends are a's; two hops are left for three layers of a and four of b.
    assert 0.5 < (counts["a"] - 800) / counts["b"] < 1.5


def test_a_path_that_ends_by_itself_needs_no_room_for_the_end(dfs):
    assert names(path(dfs(max_hops=4), 1, 2, 3)) == ["a0", "a1", "a2", "a3"]


def test_a_model_of_one_layer_is_a_path_of_one_hop(save_pico):
    folders = {name: save_pico(name, seed=0, num_hidden_layers=1) for name in "ab"}
    merger = Dfs(open_pico(folders), repeats=1, max_hops=1)
    genome = np.full(merger.space.dim, 0.9)
    assert names(hops(merger.recipe(genome).content)) == ["a0"]


def test_the_first_hop_has_no_scale_and_the_others_their_genes(dfs):
    merger = dfs()
    genome = np.full(merger.space.dim, 0.2)
    genome[[1, 4]] = 0.9
    genome[16 + 1], genome[16 + 4], genome[-1] = 0.0, 1.0, 0.75
    assert [hop.scale for hop in hops(merger.recipe(genome).content)] == [1.0, 0.5, 1.5, 1.25]


def test_a_pair_has_the_same_scale_wherever_it_meets(dfs):
    merger = dfs(scale="pair")
    genome = merger.space.init
    genome[:16] = 0.2
    genome[[4, 8, 12]] = 0.9
    place = merger.space.names.index("a_layer0.b.to_layer0")
    genome[place] = 0.9
    found = hops(merger.recipe(genome).content)
    assert names(found) == ["a0", "b0", "a0", "b0", "a3"]
    assert [hop.scale for hop in found] == [1.0, 1.4, 1.0, 1.4, 1.0]


def test_a_low_rank_scale_by_hand(dfs):
    merger = dfs(scale="low_rank")
    values = dict.fromkeys(merger.space.names, 0)
    values |= {p.name: p.init for p in merger.space.params if p.kind == "linear"}
    values |= {"layer0.a.u0": 1.0, "layer0.a.u1": 0.5, "layer3.a.v0": 0.5, "layer3.a.v1": -1.0}
    # 1 + 0.5 x (1 x 0.5 - 0.5 x 1) / 2 = 1; with v1 = 0.5: 1 + 0.5 x 0.75 / 2 = 1.1875.
    assert hops(merger.recipe(merger.space.encode(values)).content)[1].scale == 1.0
    values["layer3.a.v1"] = 0.5
    assert hops(merger.recipe(merger.space.encode(values)).content)[1].scale == 1.1875


def test_a_network_s_scale_by_hand(dfs):
    merger = dfs(scale="network")
    values = dict.fromkeys(merger.space.names, 0.0)
    # One unit that looks at the layer only: a3 is layer 3 of 8, 2 x 3/7 - 1 = -1/7.
    values |= {"network..w1": 2.0, "network..w32": 1.5, "network..w40": 0.25}
    wanted = 1 + 0.5 * np.tanh(1.5 * np.tanh(-2 / 7) + 0.25)
    found = hops(merger.recipe(merger.space.encode(values)).content)
    assert names(found) == ["a0", "a3"]
    assert found[1].scale == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("scale", ["hop", "pair", "low_rank", "network"])
def test_no_scale_comes_nearer_to_zero_than_the_floor_or_leaves_its_range(dfs, scale):
    merger = dfs(scale=scale, scale_range={"low": -0.4, "high": 1.2, "init": 1.0}, floor=0.3)
    draw = np.random.default_rng(0)
    found = [
        hop.scale
        for genome in draw.random((60, merger.space.dim))
        for hop in hops(merger.recipe(genome).content)[1:]
    ]
    assert min(map(abs, found)) >= 0.3
    assert -0.4 <= min(found) < 0 < max(found) <= 1.2


# Where only one side of 0 reaches the floor, scales go there.
@pytest.mark.parametrize(
    ("low", "high", "wanted"), [(-2, 0, -0.1), (-0.05, 1.5, 0.1), (-1, 1, 0.1), (0, 1, 0.1)]
)
def test_a_scale_at_zero_goes_to_a_side_that_is_in_its_range(dfs, low, high, wanted):
    merger = dfs(scale_range={"low": low, "high": high, "init": 0})
    assert {hop.scale for hop in path(merger, 5, 6)[1:]} == {wanted}


def test_a_scale_of_zero_is_moved_to_the_floor(dfs):
    merger = dfs(scale_range={"low": -1, "high": 1, "init": 0}, floor=0.2)
    assert {hop.scale for hop in path(merger, 5, 6)[1:]} == {0.2}


def test_scales_that_are_fixed_are_no_genes(dfs):
    merger = dfs(scale_range=0.9)
    assert merger.space.dim == 16
    assert [hop.scale for hop in path(merger, 5)] == [1.0, 0.9, 0.9]


def test_equal_paths_are_equal_recipes_whatever_the_other_genes_say(dfs):
    merger = dfs(scale="none")
    one, other = np.full(16, 0.2), np.full(16, 0.4)
    one[5], other[5] = 0.7, 0.9
    assert merger.recipe(one).hash == merger.recipe(other).hash


def test_the_target_of_the_scales_is_part_of_the_recipe(dfs):
    stream, branch = dfs(), dfs(scale_target="branch")
    assert stream.recipe(stream.space.init).hash != branch.recipe(branch.space.init).hash


# The stream is 0.5 times, then 0.5 x -2 = -1 times what it would be.
def test_folding_by_hand(dfs, pool):
    merger = dfs()
    found = [Hop("a", 0), Hop("b", 1, 0.5), Hop("b", 1, -2.0), Hop("a", 3)]
    candidate = merger.build(merger.recipe_of(found))
    source = pool.tensors("b")
    assert torch.equal(candidate.tensor(OUT), source[OUT] / 0.5)
    assert torch.equal(candidate.tensor(NORM), source[NORM])
    second = candidate.tensor(OUT.replace(".1.", ".2."))
    assert torch.equal(second, -source[OUT])
    assert torch.equal(candidate.tensor(NORM.replace(".1.", ".2.")), -source[NORM])
    assert torch.equal(
        candidate.tensor("model.norm.weight"), -pool.tensors("a")["model.norm.weight"]
    )
    assert candidate.settings == {"num_hidden_layers": 4}


def test_folding_of_branch_scales_by_hand(dfs, pool):
    merger = dfs(scale_target="branch")
    found = [Hop("a", 0), Hop("b", 1, 0.5), Hop("a", 3, -2.0)]
    candidate = merger.build(merger.recipe_of(found))
    assert torch.equal(candidate.tensor(DOWN.format(0)), pool.tensors("a")[DOWN.format(0)] * 0.5)
    assert torch.equal(candidate.tensor(DOWN.format(1)), pool.tensors("b")[DOWN.format(1)] * -2)
    assert torch.equal(candidate.tensor(DOWN.format(2)), pool.tensors("a")[DOWN.format(3)])
    assert torch.equal(candidate.tensor(OUT), pool.tensors("b")[OUT])


def test_the_first_scale_is_the_embeddings_and_unties_them(save_pico):
    base = save_pico("base", seed=0, tie_word_embeddings=True)
    folders = {"a": save_pico("a", seed=1, near=base), "b": save_pico("b", seed=2, near=base)}
    merger = Dfs(open_pico(folders))
    embedding = merger.pool.tensors("a")["model.embed_tokens.weight"]
    tied = merger.build(merger.recipe_of([Hop("a", 0), Hop("a", 3, 0.5)]))
    assert "lm_head.weight" not in tied.names
    untied = merger.build(merger.recipe_of([Hop("a", 0, 2.0), Hop("a", 3, 0.5)]))
    assert untied.settings == {"num_hidden_layers": 2, "tie_word_embeddings": False}
    assert torch.equal(untied.tensor("model.embed_tokens.weight"), 2 * embedding)
    assert torch.equal(untied.tensor("lm_head.weight"), embedding)


def test_a_frankenmerge_is_a_baseline(dfs):
    found = dfs().baselines()
    # Three of four layers of a, then three of four of b, then a's last.
    assert names(hops(found["frankenmerge"].content)) == ["a0", "a1", "a2", "b1", "b2", "b3", "a3"]
    assert set(found) == {"start_point", "frankenmerge"}


def test_a_source_as_a_path_is_that_source(pool):
    candidate = Mergers(pool).build(whole(pool, "b"))
    assert candidate.settings == {"num_hidden_layers": 4}
    for name in pool.names:
        assert torch.equal(candidate.tensor(name), pool.tensors("b")[name])


def test_the_first_model_leads(dfs, pool):
    assert pool.reference.name == "base"
    assert dfs(sources=["b", "a"]).pool.reference.name == "b"


def test_models_may_differ_in_depth_and_vocabulary(save_pico, tmp_path):
    folders = {
        "a": save_pico("a", seed=0),
        "b": save_pico("b", seed=1, num_hidden_layers=6, vocab_size=90),
    }
    merger = Dfs(open_pico(folders), repeats=1, max_hops=None)
    assert merger.depths == {"a": 4, "b": 6}
    candidate = merger.build(merger.recipe(np.full(merger.space.dim, 0.9)))
    assert names(candidate.hops) == [f"a{i}" for i in range(4)] + [f"b{i}" for i in range(6)] + [
        "a3"
    ]
    embedding = candidate.tensor("model.embed_tokens.weight")
    assert torch.equal(embedding, merger.pool.tensors("a")["model.embed_tokens.weight"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_size": 24}, "hidden_size is 24 against 16"),
        ({"num_attention_heads": 4}, "num_attention_heads is 4 against 2"),
        (
            {"rope_parameters": {"rope_type": "default", "rope_theta": 5.0}},
            "rope_parameters is .*5.0",
        ),
        ({"rms_norm_eps": 1e-4}, "rms_norm_eps is 0.0001 against 1e-06"),
    ],
)
def test_models_whose_layers_cannot_follow_each_other_are_refused(save_pico, changes, words):
    folders = {"a": save_pico("a", seed=0), "b": save_pico("b", seed=1, **changes)}
    with pytest.raises(PoolError, match=rf"^b cannot share a path with a: {words}.*models.ignore="):
        Dfs(open_pico(folders))


def test_a_tokenizer_with_more_tokens_than_there_are_embeddings_is_refused(save_pico):
    from transformers import PreTrainedTokenizerFast

    folders = {name: save_pico(name, seed=0) for name in "ab"}
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folders["b"])
    tokenizer.add_tokens(["word"])
    tokenizer.save_pretrained(folders["b"])
    with pytest.raises(PoolError, match="the embeddings of b have 62 rows, its tokenizer has"):
        Dfs(open_pico(folders, tokenizer="b"))
    assert Dfs(open_pico(folders)).pool.tokenizer_source == "a"


def test_an_accepted_difference_does_not_accept_other_shapes(save_pico):
    folders = {"a": save_pico("a", seed=0), "b": save_pico("b", seed=1, intermediate_size=32)}
    with pytest.raises(PoolError, match=r"in layer 0 mlp.down_proj.weight has shape \(16, 32\)"):
        Dfs(open_pico(folders, ignore=["intermediate_size"]))


MISTAKES = {
    "one model": ({"sources": ["a"]}, "two models or more, got a alone; .*merge.sources"),
    "a model twice": ({"sources": ["a", "a"]}, "each model once, got a, a; .*set merge.sources"),
    "an unknown model": (
        {"sources": ["a", "z"]},
        "some of base, a, b, c, got z; set merge.sources",
    ),
    "no passes": ({"repeats": 0}, "repeats must be at least 1, got 0; set merge.repeats"),
    "an unknown way": ({"scale": "all"}, "scale must be one of none, .*got all; set merge.scale"),
    "an unknown target": ({"scale_target": "x"}, "one of stream, branch, got x; set merge.scale_t"),
    "a floor of zero": ({"floor": 0.0}, r"floor must be in \(0, 1\], got 0.0; set merge.floor"),
    "only zero": ({"scale_range": 0.0}, r"beyond the floor of 0.1, got \[0, 0\]; set merge.scale_"),
    "too few hops": ({"max_hops": 1}, "max_hops must be at least 2 .*, got 1; set merge.max_hops"),
    "a start outside": (
        {"init_rest": 1.5},
        r"init_rest must be in \[0, 1\], got 1.5; set merge.in",
    ),
    "whole scales": (
        {"scale_range": {"low": 0, "high": 3, "kind": "integer"}},
        "must be linear or log for scale=hop, got integer; set merge.scale_range.kind",
    ),
    "logarithms of a network": (
        {"scale": "network", "scale_range": {"low": 0.5, "high": 2, "kind": "log"}},
        "must be linear for scale=network, got log; set merge.scale_range.kind",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_names_the_option(dfs, mistake):
    options, sentence = MISTAKES[mistake]
    with pytest.raises(ConfigError, match=sentence):
        dfs(**options)


BROKEN = {
    "no hops": ([], "at least one hop, got none"),
    "a layer that is not there": ([["a", 9, 1.0]], "a has the layers 0 to 3, the path has 9"),
    "another source": ([["c", 0, 1.0]], "leads through c, which is none of its sources"),
    "a scale of zero": ([["a", 0, 0.0]], "other than 0, got 0.0 at layer 0 of a"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_recipe_whose_path_cannot_be_walked_is_refused(dfs, fault):
    broken, sentence = BROKEN[fault]
    merger = dfs()
    content = {**merger.recipe(merger.space.init).content, "path": broken}
    with pytest.raises(ConfigError, match=sentence):
        merger.build(Recipe(content))


def test_a_recipe_of_other_weights_is_refused(dfs):
    merger = dfs()
    text = merger.recipe(merger.space.init).text
    content = json.loads(text)
    content["sources"][0]["hash"] = "0" * 32
    with pytest.raises(ConfigError, match="the weights of a are not those that the recipe"):
        merger.build(Recipe(content))
