"""LoRA adapters against what peft itself merges."""

import json
import math
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from evoforge.errors import ConfigError, PoolError
from evoforge.models.adapter import SETTINGS, STORED
from evoforge.models.pool import open_pool
from evoforge.models.tokenizer import tokenizer_of
from tests.conftest import pico_config, pico_tokenizer

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {
    "attention": {"target_modules": ["q_proj", "v_proj"]},
    "every layer": {"target_modules": ALL, "r": 3, "lora_alpha": 7},
    "rank-stabilised": {"target_modules": ALL, "use_rslora": True},
    "patterns": {
        "target_modules": ALL,
        "rank_pattern": {"q_proj": 2, "layers.1.self_attn.v_proj": 5},
        "alpha_pattern": {"q_proj": 9, "^model.layers.0.mlp.up_proj": 3},
    },
    "embeddings": {"target_modules": ["embed_tokens", "lm_head", "q_proj"]},
    "whole modules": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "norm"]},
    "whole embeddings": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
    "some layers": {"target_modules": ["q_proj"], "layers_to_transform": [1]},
    "orthogonal": {"target_modules": ["q_proj"], "init_lora_weights": "orthogonal"},
}
BIASED = {
    "all biases": {"target_modules": ["q_proj"], "bias": "all"},
    "their biases": {"target_modules": ["q_proj"], "bias": "lora_only"},
    "biases of matrices": {"target_modules": ["q_proj"], "lora_bias": True},
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Return the folders of three small models: a Mistral, a GPT-2 and a Qwen2 with biases."""
    root = tmp_path_factory.mktemp("bases")
    small = {"vocab_size": 70, "num_hidden_layers": 2, "num_attention_heads": 2}
    configs = {
        "mistral": pico_config(num_hidden_layers=2),
        "tied": pico_config(num_hidden_layers=2, tie_word_embeddings=True),
        "gpt2": AutoConfig.for_model("gpt2", n_embd=16, n_layer=2, n_head=2, vocab_size=70),
        "qwen2": AutoConfig.for_model("qwen2", **small, hidden_size=16, intermediate_size=24),
    }
    for seed, (name, config) in enumerate(configs.items()):
        torch.manual_seed(seed)
        AutoModelForCausalLM.from_config(config).save_pretrained(root / name)
        pico_tokenizer().save_pretrained(root / name)
    return {name: root / name for name in configs}


@pytest.fixture
def train(tmp_path):
    """Return what saves an adapter with random weights, and gives what peft merges it to."""
    from peft import LoraConfig, get_peft_model

    def make(base, name="tuned", seed=3, dtype=torch.float32, **options):
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tuned = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **options))
            torch.manual_seed(seed)
            with torch.no_grad():
                for parameter in tuned.parameters():
                    if parameter.requires_grad:
                        parameter.copy_(torch.randn_like(parameter) * 0.3)
            tuned.save_pretrained(tmp_path / name)
            merged = tuned.merge_and_unload().state_dict()
        return tmp_path / name, merged

    return make


def opened(base, adapter, name="a", **options):
    """Return the source of an adapter."""
    sources = {
        "base": {"path": str(base), "role": "base"},
        name: {"path": str(adapter), "adapter_of": "base", **options},
    }
    return open_pool(sources=sources).member(name)


def assert_merged(source, merged):
    for name in source.tensors:
        wanted = merged[name].float()
        torch.testing.assert_close(source.tensors[name].float(), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_expanding_is_what_peft_merges(bases, train, case):
    folder, merged = train(bases["mistral"], **CASES[case])
    source = opened(bases["mistral"], folder)
    assert_merged(source, merged)
    changed = [
        n for n in source.tensors if not torch.equal(source.tensors[n], source.changed.tensors[n])
    ]
    assert sorted(changed) == sorted(source.tensors.changes)


@pytest.mark.parametrize("case", BIASED)
def test_biases_are_what_peft_merges(bases, train, case):
    folder, merged = train(bases["qwen2"], **BIASED[case])
    source = opened(bases["qwen2"], folder)
    assert "model.layers.0.self_attn.q_proj.bias" in source.tensors.changes
    assert_merged(source, merged)


def test_weights_stored_the_other_way_round_are_what_peft_merges(bases, train):
    targets = ["c_attn", "c_fc", "wte"]
    folder, merged = train(bases["gpt2"], target_modules=targets[:2], fan_in_fan_out=True)
    assert_merged(opened(bases["gpt2"], folder), merged)


def test_changes_are_never_rounded_to_the_base_s_type(bases, train, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(bases["mistral"], dtype=torch.bfloat16)
    model.save_pretrained(tmp_path / "half")
    pico_tokenizer().save_pretrained(tmp_path / "half")
    folder, _ = train(tmp_path / "half", target_modules=["q_proj"], r=2, lora_alpha=4)
    source = opened(tmp_path / "half", folder)
    name = "model.layers.0.self_attn.q_proj"
    stored = load_file(folder / STORED)
    down, up = (stored[f"base_model.model.{name}.lora_{m}.weight"] for m in "AB")
    wanted = model.state_dict()[f"{name}.weight"].float() + 2 * up.float() @ down.float()
    assert torch.equal(source.tensors[f"{name}.weight"], wanted)
    assert source.tensors[f"{name}.weight"].dtype == torch.float32
    assert source.tensors["model.norm.weight"].dtype == torch.bfloat16


def test_shapes_and_types_are_told_without_expanding(bases, train, monkeypatch):
    folder, _ = train(bases["mistral"], target_modules=ALL, modules_to_save=["norm"])
    weights = opened(bases["mistral"], folder).tensors
    wanted = {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()}
    monkeypatch.setattr(type(weights), "__getitem__", None)
    assert {name: (weights.shape(name), weights.dtype(name)) for name in weights} == wanted


def test_settings_are_the_base_s(bases, train):
    source = opened(bases["mistral"], train(bases["mistral"], target_modules=ALL)[0])
    assert source.config == source.changed.config
    assert source.model_config().to_dict() == source.changed.model_config().to_dict()
    assert source.model_config() is not source.model_config()
    assert (source.num_layers, source.folder) == (2, bases["mistral"])


def test_a_tokenizer_beside_the_adapter_is_its_own(bases, train):
    folder, _ = train(bases["mistral"], target_modules=ALL)
    assert opened(bases["mistral"], folder).tokenizer_folder == bases["mistral"]
    own = pico_tokenizer()
    own.chat_template = "{{ messages }}"
    own.save_pretrained(folder)
    source = opened(bases["mistral"], folder)
    assert source.tokenizer_folder == folder
    assert tokenizer_of(source).chat_template == "{{ messages }}"


def test_the_hash_follows_base_matrices_and_scaling(bases, train):
    folder, _ = train(bases["mistral"], target_modules=["q_proj"])
    first = opened(bases["mistral"], folder)
    assert first.hash == opened(bases["mistral"], folder, name="other").hash
    change(folder, lora_alpha=9)
    scaled = opened(bases["mistral"], folder)
    other, _ = train(bases["mistral"], name="x", seed=4, target_modules=["q_proj"])
    assert len({first.hash, scaled.hash, opened(bases["mistral"], other).hash}) == 3
    q_proj = {n for n in first.hashes if n.endswith("q_proj.weight")}
    assert {n for n in first.hashes if first.hashes[n] != first.changed.hashes[n]} == q_proj


def test_hashing_expands_nothing(bases, train, monkeypatch):
    source = opened(bases["mistral"], train(bases["mistral"], target_modules=ALL)[0])
    monkeypatch.setattr(type(source.tensors), "__getitem__", None)
    assert len(source.hash) >= 16


def change(folder, **settings):
    """Write other settings of an adapter."""
    path = folder / SETTINGS
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"peft_type": "LOHA"}, "a is an adapter of kind LOHA"),
        ({"use_dora": True}, r"a has use_dora=True in adapter_config\.json, which .* exactly"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights=pissa"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"target_parameters": ["x"]}, "target_parameters"),
        ({"new_in_peft_9": 3}, "new_in_peft_9=3"),
        ({"r": 5}, r"against rank 5 in adapter_config\.json; copy"),
        ({"r": 0}, r"adapter_config\.json has r=0, not a whole number of at least 1; correct"),
        ({"r": True}, "has r=True, not a whole number"),
        ({"r": 2.0}, r"has r=2\.0, not a whole number"),
        ({"lora_alpha": None}, "has lora_alpha=None, not a number"),
        ({"lora_alpha": True}, "has lora_alpha=True, not a number"),
        ({"lora_alpha": math.nan}, "has lora_alpha=nan, not a number"),
        ({"lora_alpha": 10**400}, "has lora_alpha=10+, not a number"),
        ({"rank_pattern": ["a"]}, r"has rank_pattern=\['a'\], not a mapping of modules"),
        ({"alpha_pattern": "a"}, "has alpha_pattern='a', not a mapping of modules"),
        ({"rank_pattern": {"a": True}}, r"has rank_pattern\.a=True, not a whole number"),
        ({"alpha_pattern": {"a": "4"}}, r"has alpha_pattern\.a='4', not a number"),
        ({"rank_pattern": {"(": 4}}, r"has rank_pattern=\{'\(': 4\}, not with a regular expr"),
        ({"alpha_pattern": {"*": 4}}, r"has alpha_pattern=\{'\*': 4\}, not with .*repeat"),
        ({"use_rslora": "no"}, "has use_rslora='no', not true or false"),
        ({"fan_in_fan_out": 1}, "has fan_in_fan_out=1, not true or false"),
        ({"ensure_weight_tying": "x"}, "has ensure_weight_tying='x', not true or false"),
    ],
)
def test_what_cannot_be_expanded_exactly_is_refused(bases, train, settings, sentence):
    folder, _ = train(bases["mistral"], target_modules=["q_proj"])
    change(folder, **settings)
    with pytest.raises(PoolError, match=sentence):
        _ = opened(bases["mistral"], folder).tensors


def test_settings_that_are_null_are_those_left_out(bases, train):
    folder, merged = train(bases["mistral"], target_modules=["q_proj"])
    empty = ("rank_pattern", "alpha_pattern", "use_rslora", "fan_in_fan_out")
    change(folder, **dict.fromkeys(empty))
    assert_merged(opened(bases["mistral"], folder), merged)


def test_other_kinds_are_named_whatever_their_settings_hold(bases, train):
    folder, _ = train(bases["mistral"], target_modules=["q_proj"])
    change(folder, peft_type="ADALORA", rank_pattern={"q_proj": [True, False]})
    with pytest.raises(PoolError, match="a is an adapter of kind ADALORA"):
        opened(bases["mistral"], folder)


def test_dora_is_refused(bases, train):
    folder, _ = train(bases["mistral"], target_modules=["q_proj"], use_dora=True)
    with pytest.raises(PoolError, match="use_dora"):
        opened(bases["mistral"], folder)
    change(folder, use_dora=False)
    with pytest.raises(PoolError, match="stores .*lora_magnitude_vector, which evoforge cannot"):
        _ = opened(bases["mistral"], folder).tensors


def test_another_base_is_refused_at_once(bases, train, save_pico):
    folder, _ = train(bases["mistral"], target_modules=ALL)
    wide = save_pico("wide", seed=0, num_hidden_layers=2, intermediate_size=32)
    with pytest.raises(
        PoolError, match=r"a does not fit base: it changes .*\(16, 24\) against \(16, 32\)"
    ):
        opened(wide, folder)
    with pytest.raises(PoolError, match=r"base, which has no tensor .*adapter_of to the model"):
        opened(bases["gpt2"], folder)


def test_another_name_of_the_base_is_only_a_warning(bases, train, caplog):
    folder, _ = train(bases["mistral"], target_modules=["q_proj"])
    opened(bases["mistral"], folder)
    assert not caplog.records
    change(folder, base_model_name_or_path="owner/Mistral")
    opened(bases["mistral"], folder)
    assert not caplog.records
    change(folder, base_model_name_or_path="owner/other")
    opened(bases["mistral"], folder)
    assert "a says that it was trained on owner/other, it will be put on" in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"target_modules": ["embed_tokens"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    ],
)
def test_changes_of_one_side_of_tied_embeddings_are_refused(bases, train, options):
    folder, _ = train(bases["tied"], **options)
    with pytest.raises(PoolError, match="one tensor for embedding and output embedding"):
        _ = opened(bases["tied"], folder).tensors


def test_both_sides_of_tied_embeddings_may_be_replaced_alike(bases, train):
    folder, _ = train(bases["tied"], target_modules=["q_proj"])
    table = torch.randn(opened(bases["tied"], folder).tensors.shape("model.embed_tokens.weight"))
    stored = {
        **load_file(folder / STORED),
        "base_model.model.model.embed_tokens.weight": table,
        "base_model.model.lm_head.weight": table.clone(),
    }
    save_file(stored, folder / STORED)
    assert torch.equal(opened(bases["tied"], folder).tensors["model.embed_tokens.weight"], table)


def test_what_an_adapter_is_of_must_be_a_whole_source(bases, train):
    folder, _ = train(bases["mistral"], target_modules=["q_proj"])
    base = {"path": str(bases["mistral"])}
    tuned = {"path": str(folder), "adapter_of": "base"}
    with pytest.raises(
        ConfigError, match=r"one of base, got b; set models\.sources\.a\.adapter_of"
    ):
        open_pool(sources={"base": base, "a": {**tuned, "adapter_of": "b"}})
    with pytest.raises(
        ConfigError, match=r"one of base, got a; set models\.sources\.b\.adapter_of"
    ):
        open_pool(sources={"base": base, "a": tuned, "b": {**tuned, "adapter_of": "a"}})
    with pytest.raises(PoolError, match=r"is an adapter; name .*models\.sources\.a\.adapter_of"):
        open_pool(sources={"base": base, "a": {"path": str(folder)}})


@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_missing_or_damaged_matrices_are_named(bases, train, content):
    folder, _ = train(bases["mistral"], target_modules=["q_proj"])
    (folder / STORED).unlink()
    if content is not None:
        (folder / STORED).write_bytes(content)
    with pytest.raises(PoolError, match=r"adapter_model\.safetensors"):
        opened(bases["mistral"], folder)


def test_half_a_change_is_refused(bases, train):
    folder, _ = train(bases["mistral"], target_modules=["q_proj"])
    stored = load_file(folder / STORED)
    del stored[next(name for name in stored if "lora_B" in name)]
    save_file(stored, folder / STORED)
    with pytest.raises(PoolError, match="a has half of the change of"):
        _ = opened(bases["mistral"], folder).tensors


def test_the_scaling_by_hand(bases, train):
    # alpha / r = 8 / 4; rank-stabilised 8 / sqrt(4).
    options = {"target_modules": ["q_proj"], "r": 4, "lora_alpha": 8}
    plain = opened(bases["mistral"], train(bases["mistral"], **options)[0])
    stable = opened(bases["mistral"], train(bases["mistral"], use_rslora=True, **options)[0])
    name = "model.layers.0.self_attn.q_proj.weight"
    assert plain.tensors.changes[name].scaling == 2
    assert stable.tensors.changes[name].scaling == 8 / math.sqrt(4)
