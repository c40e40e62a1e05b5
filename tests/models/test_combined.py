import warnings

import pytest
import torch
from transformers import AutoModelForCausalLM

from evoforge.errors import MergeError
from evoforge.models.combined import combined
from evoforge.models.pool import open_pool
from tests.models.test_adapter import ALL, bases, opened, train  # noqa: F401

WEIGHTS = [0.7, -0.4]
PAIRS = {
    "same modules": [{"target_modules": ALL, "r": 2}, {"target_modules": ALL, "r": 3}],
    "other modules": [
        {"target_modules": ["q_proj", "up_proj"], "use_rslora": True},
        {"target_modules": ["q_proj", "lm_head"], "rank_pattern": {"layers.0.self_attn.q_proj": 1}},
    ],
    "embeddings": [{"target_modules": ["embed_tokens"]}, {"target_modules": ["embed_tokens"]}],
}


@pytest.fixture
def pair(train):  # noqa: F811
    """Return what opens two adapters of one base."""

    def make(base, options):
        paths = {
            name: train(base, name=name, seed=seed, **given)[0]
            for seed, (name, given) in enumerate(zip("ab", options, strict=True))
        }
        tuned = {name: {"path": str(path), "adapter_of": "base"} for name, path in paths.items()}
        pool = open_pool(sources={"base": {"path": str(base), "role": "base"}, **tuned})
        return [pool.member("a"), pool.member("b")]

    return make


def summed(sources, name, weights):
    """Return base + sum_m w_m (adapter_m - base) of one tensor."""
    base = sources[0].changed.tensors[name].float()
    return base + sum(w * (s.tensors[name] - base) for s, w in zip(sources, weights, strict=True))


def loaded(base, folder):
    """Return the weights of a base with an adapter, as peft merges them."""
    from peft import PeftModel

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PeftModel.from_pretrained(model, folder).merge_and_unload().state_dict()


@pytest.mark.parametrize("kind", PAIRS)
def test_peft_loads_the_combined_adapter_as_the_merge(bases, pair, tmp_path, kind):  # noqa: F811
    sources = pair(bases["mistral"], PAIRS[kind])
    combined(sources, WEIGHTS).save(tmp_path / "out")
    found = loaded(bases["mistral"], tmp_path / "out")
    for name in sources[0].tensors:
        wanted = summed(sources, name, WEIGHTS)
        torch.testing.assert_close(found[name], wanted, rtol=1e-6, atol=1e-6)


def test_weights_stored_the_other_way_round_are_combined_too(bases, pair, tmp_path):  # noqa: F811
    sources = pair(bases["gpt2"], [{"target_modules": ["c_attn"], "fan_in_fan_out": True}] * 2)
    combined(sources, WEIGHTS).save(tmp_path / "out")
    found = loaded(bases["gpt2"], tmp_path / "out")
    name = "transformer.h.1.attn.c_attn.weight"
    torch.testing.assert_close(found[name], summed(sources, name, WEIGHTS), rtol=1e-6, atol=1e-6)


def test_weights_may_differ_from_tensor_to_tensor(bases, pair, tmp_path):  # noqa: F811
    sources = pair(bases["mistral"], [{"target_modules": ["q_proj"]}] * 2)
    combined(sources, lambda name: [1, 0] if ".0." in name else [0, 2]).save(tmp_path / "out")
    found = loaded(bases["mistral"], tmp_path / "out")
    for layer, weights in enumerate([[1, 0], [0, 2]]):
        name = f"model.layers.{layer}.self_attn.q_proj.weight"
        wanted = summed(sources, name, weights)
        torch.testing.assert_close(found[name], wanted, rtol=1e-6, atol=1e-6)


def test_a_combined_adapter_is_a_source_again(bases, pair, tmp_path):  # noqa: F811
    sources = pair(bases["mistral"], PAIRS["same modules"])
    combined(sources, WEIGHTS).save(tmp_path / "out")
    again = opened(bases["mistral"], tmp_path / "out")
    for name in again.tensors:
        wanted = summed(sources, name, WEIGHTS)
        torch.testing.assert_close(again.tensors[name], wanted, rtol=1e-6, atol=1e-6)


def test_ranks_are_added(bases, pair):  # noqa: F811
    settings = combined(pair(bases["mistral"], PAIRS["same modules"]), WEIGHTS).settings
    assert (settings["r"], settings["lora_alpha"], settings["rank_pattern"]) == (5, 5, {})


@pytest.mark.parametrize(
    "options", [{"modules_to_save": ["norm"]}, {"modules_to_save": ["lm_head"]}]
)
def test_what_matrices_cannot_do_is_refused(bases, pair, options):  # noqa: F811
    plain = {"target_modules": ["q_proj"]}
    with pytest.raises(MergeError, match="b replaces .*; export a whole model"):
        combined(pair(bases["mistral"], [plain, {**plain, **options}]), WEIGHTS)


def test_whole_models_and_other_bases_are_refused(bases, pair, train):  # noqa: F811
    plain = {"target_modules": ["q_proj"]}
    sources = pair(bases["mistral"], [plain, plain])
    with pytest.raises(MergeError, match="base is no adapter"):
        combined([sources[0], sources[0].changed], WEIGHTS)
    other = opened(bases["tied"], train(bases["tied"], name="c", **plain)[0], name="c")
    with pytest.raises(MergeError, match="c and a are adapters of different models"):
        combined([sources[0], other], WEIGHTS)
    with pytest.raises(MergeError, match="2 adapters need as many weights, got 1"):
        combined(sources, [1.0])
