"""Paths over shared layers against the straightforward thing: one model with copied weights."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from evoforge.errors import ConfigError
from evoforge.evaluator._hops import assemble, relocated
from evoforge.evaluator._live import LiveModel
from evoforge.merge.base import Mergers
from evoforge.merge.dfs import Dfs, path_recipe
from evoforge.merge.linear import Linear
from evoforge.path import Hop
from tests.conftest import open_pico, pico_config
from tests.loop import WEIGHT

PATHS = {
    "plain": [Hop("a", 0), Hop("b", 2), Hop("a", 3)],
    "scaled": [Hop("a", 0), Hop("b", 1, 0.7), Hop("c", 2, 1.4), Hop("a", 3, 0.9)],
    "repeated": [
        Hop("a", 0),
        Hop("a", 1, 0.8),
        Hop("a", 1, 1.3),
        Hop("b", 1),
        Hop("a", 1),
        Hop("a", 3),
    ],
    "negative": [Hop("a", 0), Hop("b", 1, -0.7), Hop("a", 2, 1.2), Hop("a", 3, -0.9)],
    "first scaled": [Hop("a", 0, 1.7), Hop("b", 2, 0.6), Hop("a", 3)],
    "long": [Hop("abc"[i % 3], i % 4, 1 + 0.02 * (i % 5)) for i in range(20)],
}


@pytest.fixture(params=["stream", "branch"])
def target(request):
    return request.param


@pytest.fixture(params=PATHS)
def path(request):
    return PATHS[request.param]


def unrolled(pool, path, target):
    """Return a model of as many layers as hops, each with weights of its own, scaled by hooks."""
    model = AutoModelForCausalLM.from_config(pico_config(num_hidden_layers=len(path))).eval()
    state = {
        name: pool.tensors(path[0].source)[name]
        for name in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")
    }
    for place, hop in enumerate(path):
        for name, tensor in pool.tensors(hop.source).items():
            if f".layers.{hop.layer}." in name:
                state[name.replace(f".layers.{hop.layer}.", f".layers.{place}.")] = tensor
    model.load_state_dict(state)
    layers = model.model.layers
    for place, hop in enumerate(path):
        if target == "stream" or place == 0:
            layers[place].register_forward_pre_hook(lambda m, x, s=hop.scale: (x[0] * s, *x[1:]))
        else:
            layers[place - 1].mlp.register_forward_hook(lambda m, x, y, s=hop.scale: y * s)
    return model


def walked(pool, path, target):
    """Return a live model that has gone the path."""
    merger = Dfs(pool, sources=["a", "b", "c"], scale_target=target)
    live = LiveModel(merger.pool, device="cpu", attention="sdpa")
    live.write(merger.build(merger.recipe_of(path)))
    return live


IDS = torch.randint(3, 40, (3, 9), generator=torch.Generator().manual_seed(0))
MASK = torch.ones_like(IDS)
MASK[0, :4] = 0
MASK[1, :1] = 0


@torch.inference_mode()
def logits(model, **given):
    return model(input_ids=IDS, attention_mask=MASK, **given).logits[MASK.bool()]


def generate(model, **given):
    return model.generate(
        input_ids=IDS,
        attention_mask=MASK,
        max_new_tokens=12,
        min_new_tokens=12,
        do_sample=False,
        pad_token_id=2,
        **given,
    )


def test_a_path_over_shared_layers_is_the_unrolled_model(pool, path, target):
    found, wanted = logits(walked(pool, path, target).model), logits(unrolled(pool, path, target))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_generation_with_padding_and_batches_is_the_same_with_and_without_cache(pool, path, target):
    live = walked(pool, path, target).model
    wanted = generate(unrolled(pool, path, target), use_cache=False)
    assert torch.equal(generate(live, use_cache=True), wanted)
    assert torch.equal(generate(live, use_cache=False), wanted)


def test_decoding_step_by_step_gives_the_logits_of_the_whole(pool, path, target):
    live = walked(pool, path, target).model
    with torch.inference_mode():
        whole = live(input_ids=IDS[2:]).logits[0]
        cache, steps = None, []
        for token in IDS[2]:
            out = live(input_ids=token.view(1, 1), past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            steps.append(out.logits[0, 0])
    assert len(cache.layers) == len(path)
    torch.testing.assert_close(torch.stack(steps), whole, rtol=1e-4, atol=1e-5)


def test_the_plain_checkpoint_gives_the_logits_of_the_path(pool, path, target):
    merger = Dfs(pool, sources=["a", "b", "c"], scale_target=target)
    candidate = merger.build(merger.recipe_of(path))
    plain = AutoModelForCausalLM.from_config(pico_config(**candidate.settings)).eval()
    plain.load_state_dict({name: candidate.tensor(name) for name in candidate.names})
    wanted = logits(unrolled(pool, path, target))
    torch.testing.assert_close(logits(plain), wanted, rtol=1e-3, atol=2e-3)


def test_a_merge_comes_back_unharmed_after_paths(pool, path, target):
    linear = Linear(pool, weight=WEIGHT)
    merge = linear.build(linear.recipe(linear.space.init))
    live = LiveModel(pool, device="cpu", attention="sdpa")
    live.write(merge)
    before = logits(live.model)
    paths = Dfs(pool, scale_target=target)
    live.write(paths.build(paths.recipe_of(path)))
    assert not torch.allclose(logits(live.model), before)
    live.write(merge)
    assert torch.equal(logits(live.model), before)
    assert live.model.config.num_hidden_layers == 4


def test_going_another_path_merges_nothing_and_keeps_every_parameter(pool):
    merger = Dfs(pool, sources=["a", "b", "c"])
    live = walked(pool, PATHS["scaled"], "stream")
    places = {name: p.data_ptr() for name, p in live.model.named_parameters()}
    for path in PATHS.values():
        assert live.write(merger.build(merger.recipe_of(path))) == 0
    live.write(merger.build(merger.recipe_of(PATHS["scaled"])))
    assert {name: p.data_ptr() for name, p in live.model.named_parameters()} == places


def test_hops_share_their_parameters_and_differ_in_place(pool):
    layer = unrolled(pool, PATHS["plain"], "stream").model.layers[1]
    twin = relocated(layer, 7)
    assert (layer.self_attn.layer_idx, twin.self_attn.layer_idx) == (1, 7)
    assert twin.mlp is layer.mlp
    assert all(a is b for a, b in zip(twin.parameters(), layer.parameters(), strict=True))


def test_scales_leave_the_layers_they_were_made_of_alone(pool):
    layers = unrolled(pool, PATHS["plain"], "stream").model.layers
    for target in ("stream", "branch"):
        assemble([layers[0], layers[1]], [0.5, 2.0], target)
    assert all("forward" not in vars(part) for layer in layers for part in layer.modules())


def test_a_path_through_a_merge_is_the_path_through_its_weights(pool, save_pico, tmp_path):
    linear = Linear(pool, weight=WEIGHT)
    recipe = linear.recipe(linear.space.init)
    paths = Dfs(pool, merged=True, sources=["b"]).over(recipe)
    path = [Hop("merged", 0), Hop("b", 1, 0.7), Hop("merged", 2), Hop("merged", 3, 1.2)]
    live = LiveModel(pool, device="cpu", attention="sdpa")
    live.write(Mergers(pool).build(paths.recipe_of(path)))
    merged = linear.build(recipe)
    folder = save_pico("merged", seed=0)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.load_state_dict({name: merged.tensor(name) for name in merged.names})
    model.save_pretrained(folder)
    whole = open_pico({"merged": folder, "b": pool.member("b").folder})
    wanted = logits(unrolled(whole, path, "stream"))
    torch.testing.assert_close(logits(live.model), wanted, rtol=1e-5, atol=1e-5)


def test_a_path_may_end_with_another_model_s_norm_and_output(pool):
    path = [Hop("a", 0), Hop("a", 1, 0.8), Hop("b", 2), Hop("b", 3)]
    led = pool.led_by("a")
    refs = [{"name": name, "hash": pool.hash(name)} for name in "ab"]
    candidate = Mergers(led).build(path_recipe(path, refs, "stream", led, tail="b"))
    live = LiveModel(led, device="cpu", attention="sdpa")
    live.write(candidate)
    wanted = unrolled(pool, path, "stream")
    for name in ("model.norm.weight", "lm_head.weight"):
        wanted.get_parameter(name).data.copy_(pool.tensors("b")[name])
        assert torch.equal(candidate.tensor(name), pool.tensors("b")[name])
    torch.testing.assert_close(logits(live.model), logits(wanted), rtol=1e-5, atol=1e-5)
    # The next path that ends with the first model has its norm and output again.
    back = Mergers(led).build(path_recipe(path, refs, "stream", led))
    live.write(back)
    again = logits(unrolled(pool, path, "stream"))
    torch.testing.assert_close(logits(live.model), again, rtol=1e-5, atol=1e-5)


def test_an_output_that_does_not_fit_is_refused(save_pico, pool, pico):
    other = save_pico("other", seed=5, vocab_size=80)
    wide = open_pico({"a": pico["a"], "b": other}).led_by("a")
    refs = [{"name": name, "hash": wide.hash(name)} for name in "ab"]
    path = [Hop("a", 0), Hop("b", 3)]
    with pytest.raises(ConfigError, match=r"lm_head\.weight of the path's last model does not fit"):
        Mergers(wide).build(path_recipe(path, refs, "stream", wide, tail="b"))
