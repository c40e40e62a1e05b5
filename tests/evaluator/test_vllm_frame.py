from functools import partial

import pytest
import torch
from transformers import AutoModelForCausalLM

from evoforge.evaluator._live import LiveModel
from evoforge.evaluator._vllm_frame import Frame, frame_of
from evoforge.merge.dfs import Dfs
from evoforge.merge.ties import Ties
from evoforge.merge.ties_dfs import TiesDfs
from evoforge.path import Hop
from tests.conftest import open_pico
from tests.loop import WEIGHT

SCALED = [Hop("a", 0, 1.1), Hop("b", 2, -0.8), Hop("a", 2, 1.2), Hop("b", 2, 0.9), Hop("a", 3)]
SHORT = [Hop("a", 0), Hop("b", 1), Hop("a", 3)]


def path(pool, hops):
    merger = Dfs(pool, sources=["a", "b"])
    return merger.build(merger.recipe_of(hops))


def frame(pool, candidate):
    return frame_of(candidate, pool.model_config(), pool.reference.per_layer)


def contents(pool, candidate, depth):
    live = LiveModel(pool, device="cpu", attention="sdpa")
    live.write(candidate)
    wanted = frame(pool, candidate).deeper(depth)
    return wanted, dict(wanted.weights(candidate, partial(live.tensor, candidate)))


@pytest.mark.parametrize("hops", [SHORT, SCALED], ids=["short", "scaled"])
def test_the_engine_gets_the_plain_checkpoint_of_a_path(pool, hops):
    candidate = path(pool, hops)
    _, found = contents(pool, candidate, 1)
    assert list(found) == list(candidate.names)
    for name in candidate.names:
        assert torch.equal(found[name], candidate.tensor(name)), name


def test_the_engine_gets_the_plain_checkpoint_of_a_path_through_a_merge(pool):
    merger = TiesDfs(
        pool, ps=partial(Ties, weight=WEIGHT), dfs=partial(Dfs, sources=["b"]), schedule="joint"
    )
    candidate = merger.build(merger.recipe(merger.space.init))
    _, found = contents(pool, candidate, 1)
    for name in candidate.names:
        assert torch.equal(found[name], candidate.tensor(name)), name


def test_a_shorter_path_is_filled_up_with_layers_that_add_nothing(pool):
    candidate = path(pool, SCALED)
    wanted, found = contents(pool, candidate, 8)
    config = pool.model_config()
    for key, value in wanted.settings.items():
        setattr(config, key, value)
    deep = AutoModelForCausalLM.from_config(config)
    deep.load_state_dict(found)
    live = LiveModel(pool, device="cpu", attention="sdpa")
    live.write(candidate)
    tokens = torch.tensor([[3, 9, 27, 41]])
    with torch.no_grad():
        assert len(deep.model.layers) == 8
        torch.testing.assert_close(
            deep(tokens).logits, live.model(tokens).logits, atol=1e-3, rtol=1e-3
        )


def test_a_tied_embedding_is_written_twice_where_the_engine_has_two(save_pico):
    base = save_pico("base", seed=0, tie_word_embeddings=True)
    pool = open_pico({"base": base, "a": save_pico("a", seed=1, near=base)})
    merger = Ties(pool, weight=WEIGHT)
    candidate = merger.build(merger.recipe(merger.space.init))
    tied = frame(pool, candidate)
    untied = Frame(4, tied.lists, {"tie_word_embeddings": False})
    live = LiveModel(pool, device="cpu", attention="sdpa")
    live.write(candidate)
    found = dict(untied.weights(candidate, partial(live.tensor, candidate)))
    assert torch.equal(found["lm_head.weight"], found["model.embed_tokens.weight"])
    assert untied.lacks(tied) == ""
    assert tied.lacks(untied) == "tie_word_embeddings=False"


def test_a_frame_says_what_a_candidate_lacks_in_it():
    kinds = {"layer_types": ["full", "sliding", "full"]}
    mine = Frame(3, kinds, {"tie_word_embeddings": False})
    assert mine.lacks(Frame(2, {"layer_types": ["full", "sliding"]}, mine.others)) == ""
    assert mine.lacks(Frame(5, kinds, mine.others)) == "2 layers"
    other = Frame(2, {"layer_types": ["full", "full"]}, mine.others)
    assert mine.lacks(other) == "layer_types=['full', 'full']"
    assert mine.deeper(5).lists == {"layer_types": ["full", "sliding", "full", "full", "full"]}
