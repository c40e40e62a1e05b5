"""Answers of the decoder against those of plain `generate`, token for token."""

import random

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from evoforge.evaluator import _cache, _decode
from evoforge.evaluator._cache import holds_plain_keys
from evoforge.evaluator._decode import Decoder
from evoforge.evaluator._live import LiveModel
from evoforge.evaluator._tokens import END, LENGTH, Prompt
from evoforge.merge.dfs import Dfs
from evoforge.path import Hop
from tests.evaluator.conftest import SMALL

MIXED = {"layer_types": ["full_attention", "sliding_attention", "full_attention"]}
CHANGES = {
    "mistral": {"sliding_window": 6},
    "qwen2": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1, **MIXED},
    "gemma2": {"sliding_window": 4, "query_pre_attn_scalar": 8},
    "gemma3_text": {"sliding_window": 4, "query_pre_attn_scalar": 8},
    "phi3": {"original_max_position_embeddings": 128},
    "mixtral": {"num_local_experts": 4},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128, "n_inner": 24},
    "bloom": {"n_layer": 2, "n_head": 2},
    "falcon_h1": {"mamba_d_ssm": 16, "mamba_n_heads": 2, "mamba_d_head": 8, "mamba_d_state": 8},
}
TIED = {"tie_word_embeddings": True}
KINDS = ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3", "mixtral"]
KINDS += ["gpt2", "gpt_neox", "bloom", "mamba", "falcon_h1"]
ENDS, PAD = [1, 7, 8], 2


def model_of(kind, **changes):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**SMALL, **CHANGES.get(kind, {}), **changes})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def prompts_of(lengths=(1, 3, 40, 17, 17, 8, 2, 30), shared=0, **more):
    draw = random.Random(0)
    start = tuple(draw.choices(range(9, 60), k=shared))
    texts = [start + tuple(draw.choices(range(9, 60), k=length)) for length in lengths]
    return [Prompt(text, draw.choice([1, 4, 12]), **more) for text in texts]


def plain(model, prompt, ends=ENDS):
    """Return the tokens of plain `generate` for one prompt alone."""
    ids = torch.tensor([prompt.tokens])
    output = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=prompt.limit,
        eos_token_id=list(ends) or [SMALL["vocab_size"]],  # None would be the model's own
        pad_token_id=PAD,
    )
    tokens = output[0, ids.shape[1] :].tolist()
    return tuple(tokens[:-1] if tokens[-1] in ends else tokens)


def decoder(model, batch_size=4, ends=ENDS, **more):
    return Decoder(model, ends=ends, pad=PAD, batch_size=batch_size, **more)


@pytest.mark.parametrize("shared", [0, 20], ids=["nothing shared", "shared start"])
@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_plain_generate(kind, shared):
    model = model_of(kind)
    prompts = prompts_of(shared=shared)
    # Some token of a long answer ends it.
    longest = max(prompts, key=lambda prompt: prompt.limit)
    ends = [plain(model, longest, ())[-2]]
    found = decoder(model, ends=ends).generate(prompts)
    assert [reply.tokens for reply in found] == [plain(model, prompt, ends) for prompt in prompts]
    assert {reply.reason for reply in found} == {END, LENGTH}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_neither_batch_nor_attention_changes_answers(batch_size, attention):
    model = model_of("llama", **TIED)
    prompts = prompts_of(shared=18)
    wanted = [plain(model, prompt) for prompt in prompts]
    model.set_attn_implementation(attention)
    for quick in (True, False):
        found = decoder(model, batch_size, quick=quick).generate(prompts)
        assert [reply.tokens for reply in found] == wanted


def test_rows_move_to_new_memory_as_texts_grow(monkeypatch):
    monkeypatch.setattr(_cache, "ROOM", 1)
    monkeypatch.setattr(_decode, "READ_TOGETHER", 20)
    model = model_of("gemma3_text")
    prompts = [Prompt(p.tokens, 30) for p in prompts_of((5, 9, 2, 33, 4))]
    found = decoder(model, 2, ends=()).generate(prompts)
    assert [reply.tokens for reply in found] == [plain(model, p, ()) for p in prompts]


def test_few_rows_are_computed_once_others_are_over():
    model = model_of("llama")
    sizes = []
    model.model.register_forward_pre_hook(
        lambda _, __, given: sizes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    prompts = [Prompt((9, 10, 11 + i), limit) for i, limit in enumerate([2, 1, 2, 5, 3])]
    decoder(model, 4, ends=()).generate(prompts)
    # One is over once it is read, and another enters; a step later two are over, and so on.
    assert sizes == [(4, 3), (1, 3), (4, 1), (2, 1), (1, 1), (1, 1)]


def test_over_is_asked_after_each_token_and_ends_the_answer():
    model = model_of("llama")
    asked = []

    def over(tokens):
        asked.append(tuple(tokens))
        return "long enough" if len(tokens) == 3 else None

    prompt = Prompt((9, 10), 5, over)
    (reply,) = decoder(model, ends=()).generate([prompt])
    assert reply.reason == "long enough"
    assert reply.tokens == plain(model, prompt, ())[:3]
    assert asked == [reply.tokens[:i] for i in (1, 2, 3)]


@pytest.mark.parametrize("kind", ["llama", "mamba"])
def test_each_prompt_has_its_own_end(kind):
    model = model_of(kind)
    texts = [prompt.tokens for prompt in prompts_of((5, 5, 5, 2))]
    overs = [None, lambda tokens: "two" if len(tokens) == 2 else None, None, lambda _: "at once"]
    prompts = [Prompt(t, n, o) for t, n, o in zip(texts, [4, 4, 1, 9], overs, strict=True)]
    found = decoder(model, ends=()).generate(prompts)
    assert [len(reply.tokens) for reply in found] == [4, 2, 1, 1]
    assert [reply.reason for reply in found] == [LENGTH, "two", LENGTH, "at once"]


def test_no_prompts_have_no_answers():
    assert decoder(model_of("llama")).generate([]) == []


@pytest.mark.parametrize("hops", [3, 6])
def test_paths_through_shared_layers_are_gone_as_generate_goes_them(pool, hops):
    merger = Dfs(pool, sources=["a", "b", "c"])
    live = LiveModel(merger.pool, device="cpu", attention="sdpa")
    mine = decoder(live.model, 3)
    path = [Hop("abc"[i % 3], i % 2, 1 + 0.1 * i) for i in range(hops)]
    for given in (path, path[:2], path):
        live.write(merger.build(merger.recipe_of([*given, Hop("a", 3)])))
        prompts = prompts_of()
        found = mine.generate(prompts)
        assert [r.tokens for r in found] == [plain(live.model, p) for p in prompts]


def test_nothing_is_left_behind_by_an_exception():
    model = model_of("llama")
    prompts = prompts_of()
    mine = decoder(model)
    wanted = mine.generate(prompts)

    def fail(_):
        raise MemoryError("full")

    with pytest.raises(MemoryError, match="full"):
        mine.generate([*prompts, Prompt((9,), 3, fail)])
    assert model.config._attn_implementation == "sdpa"
    assert not model.lm_head._forward_pre_hooks
    assert mine.generate(prompts) == wanted


def test_numbers_that_are_not_finite_stay_in_their_row():
    model = model_of("llama")
    # Token 5 makes everything it is read with infinite.
    with torch.no_grad():
        model.model.embed_tokens.weight[5] = torch.inf
    good = [Prompt(p.tokens, 12) for p in prompts_of((30, 3, 4))]
    bad = Prompt((9,) * 20 + (5,), 2)
    found = decoder(model, 2, ends=()).generate([good[0], bad, good[1], good[2]])
    assert [found[i].tokens for i in (0, 2, 3)] == [plain(model, p, ()) for p in good]


def test_what_keeps_more_than_keys_and_values_is_known():
    assert holds_plain_keys(model_of("gemma3_text"), 128)
    assert not holds_plain_keys(model_of("falcon_h1"), 10)
    assert not holds_plain_keys(model_of("mamba"), 10)
    assert not holds_plain_keys(model_of("llama4_text"), 10)
    half = torch.ones(4).tolist()
    rope = {"rope_type": "longrope", "short_factor": half, "long_factor": half}
    rope |= {"rope_theta": 1e4, "original_max_position_embeddings": 64}
    model = model_of("phi3", rope_parameters=rope, original_max_position_embeddings=64)
    assert holds_plain_keys(model, 64)
    assert not holds_plain_keys(model, 65)
