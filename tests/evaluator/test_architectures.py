"""Merging small random models of many architectures, in place and exported."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from evoforge.errors import ConfigError
from evoforge.evaluator._live import LiveModel
from evoforge.export import export
from evoforge.merge.dfs import Dfs
from evoforge.merge.linear import Linear
from evoforge.models.layout import place
from evoforge.models.slots import Slot, find_slots
from evoforge.path import Hop
from tests.conftest import open_pico, pico_tokenizer
from tests.evaluator.conftest import SMALL

LAYERS = {"num_hidden_layers": 2, "max_position_embeddings": 64}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8}
CHANGES = {
    "phi3": {"original_max_position_embeddings": 64},
    "mixtral": {"num_local_experts": 4},
    "gemma3_text": {"sliding_window": 4, "query_pre_attn_scalar": 8, "num_hidden_layers": 3},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "n_inner": 24},
    "qwen3_moe": EXPERTS,
    "olmoe": {**EXPERTS, "intermediate_size": 8},
}
KINDS = [
    ("llama", True),
    ("llama", False),
    ("mistral", False),
    ("qwen2", True),
    ("qwen2", False),
    ("qwen3", True),
    ("qwen3", False),
    ("gemma3_text", True),
    ("gemma3_text", False),
    ("phi3", True),
    ("phi3", False),
    ("gpt_neox", True),
    ("gpt_neox", False),
    ("gpt2", True),
    ("mixtral", True),
    ("mixtral", False),
    ("qwen3_moe", False),
    ("olmoe", False),
]
IDS = torch.randint(3, 40, (2, 12), generator=torch.Generator().manual_seed(1))


def model_of(kind, tied, seed):
    torch.manual_seed(seed)
    settings = {**SMALL, **LAYERS, **CHANGES.get(kind, {}), "tie_word_embeddings": tied}
    config = AutoConfig.for_model(kind, **settings)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def save(model, folder):
    model.save_pretrained(folder)
    pico_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}-{'tied' if kind[1] else 'untied'}")
def merged(request, tmp_path):
    """Return a pool of two models, their merge, and what a plainly averaged model answers."""
    kind, tied = request.param
    models = {name: model_of(kind, tied, seed) for seed, name in enumerate("ab")}
    pool = open_pico({name: save(model, tmp_path / name) for name, model in models.items()})
    pool.check()
    merger = Linear(pool, weight={"low": 0, "high": 1, "init": 0.5})
    average = models["a"]
    with torch.no_grad():
        for mine, other in zip(average.parameters(), models["b"].parameters(), strict=True):
            mine.copy_((mine + other) / 2)
    return pool, merger, average


@torch.inference_mode()
def test_the_merged_model_answers_as_a_plainly_averaged_one(merged):
    pool, merger, average = merged
    live = LiveModel(pool, device="cpu", attention="eager")
    live.write(merger.build(merger.recipe(merger.space.init)))
    wanted = average(input_ids=IDS).logits
    torch.testing.assert_close(live.model(input_ids=IDS).logits, wanted, rtol=1e-4, atol=1e-4)


def test_the_exported_model_holds_the_live_model_s_tensors(merged, tmp_path):
    pool, merger, _ = merged
    recipe = merger.recipe(merger.space.init)
    candidate = merger.build(recipe)
    live = LiveModel(pool, device="cpu", attention="eager")
    live.write(candidate)
    export(candidate, recipe, pool, tmp_path / "out", card="# card")
    loaded, info = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    mine, other = live.model.state_dict(), loaded.state_dict()
    assert set(mine) == set(other)
    assert all(torch.equal(mine[name], other[name]) for name in mine)


def test_every_tensor_has_its_place(merged):
    pool, *_ = merged
    found = {place(name) for name in pool.names}
    blocks = range(pool.reference.num_layers)
    kinds = ("attention", "mlp", "norm")
    assert {(p.block, p.module) for p in found if p.block is not None} == {
        (block, kind) for block in blocks for kind in kinds
    }
    outside = {p.module for p in found if p.block is None}
    tied = pool.reference.config["tie_word_embeddings"]
    assert outside == ({"embedding", "norm"} if tied else {"embedding", "norm", "head"})


def test_experts_are_parts_of_the_fused_parameter():
    model = model_of("mixtral", False, 0)
    name = "model.layers.1.block_sparse_moe.experts.3.w3.weight"
    names = saved_names(model)
    slot = find_slots(model, names, "a")[name]
    fused = model.state_dict()[slot.parameter]
    assert slot.parameter == "model.layers.1.mlp.experts.gate_up_proj"
    assert torch.equal(slot.of(fused), fused[3, 24:])
    assert slot.of(fused).data_ptr() == fused[3, 24:].data_ptr()


def test_a_square_transposed_slot_is_written_transposed():
    given, wanted = torch.zeros(3, 3), torch.arange(9.0).reshape(3, 3)
    Slot("p", (3, 3), (1, 3), 0).of(given).copy_(wanted)
    assert torch.equal(given, wanted.T)
    assert Slot("p", (3, 3), (3, 1), 0).of(given) is given


def test_a_slot_is_a_part_of_its_parameter_wherever_that_lies():
    flat = torch.zeros(20)
    Slot("p", (3, 3), (1, 3), 0).of(flat[5:14].view(3, 3)).fill_(1)
    assert flat.nonzero().flatten().tolist() == list(range(5, 14))


def saved_names(model):
    from transformers.core_model_loading import revert_weight_conversion

    return list(revert_weight_conversion(model, model.state_dict()))


def test_a_missing_expert_is_named():
    model = model_of("mixtral", False, 0)
    names = [
        name for name in saved_names(model) if "layers.1.block_sparse_moe.experts.2" not in name
    ]
    with pytest.raises(
        ConfigError, match=r"a has no tensor model\.layers\.1\.mlp\.experts\.gate_up"
    ):
        find_slots(model, names, "a")


def test_a_tensor_that_the_model_has_not_is_named():
    model = model_of("llama", False, 0)
    with pytest.raises(ConfigError, match=r"a has the tensor model\.layers\.0\.x, which LlamaFor"):
        find_slots(model, [*saved_names(model), "model.layers.0.x"], "a")


def test_conversions_that_are_no_views_are_refused(monkeypatch):
    from transformers import conversion_mapping as mapping
    from transformers import core_model_loading as loading

    model = model_of("llama", False, 0)
    shuffled = loading.WeightConverter("up_proj.weight", "up_proj.weight", [loading.Interleave(0)])
    monkeypatch.setattr(mapping, "get_model_conversion_mapping", lambda *a, **k: [shuffled])
    with pytest.raises(ConfigError, match=r"has the tensor .*up_proj\.weight, .* in place"):
        find_slots(model, list(model.state_dict()), "a")


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_names_without_the_model_s_prefix_are_found(kind, tmp_path):
    model = model_of(kind, True, 0)
    prefix = f"{model.base_model_prefix}."
    names = [name.removeprefix(prefix) for name in saved_names(model) if name != "lm_head.weight"]
    found = find_slots(model, names, "a")
    assert {slot.parameter for slot in found.values()} == {prefix + name for name in names}


@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe", "gpt_neox", "phi3"])
@torch.inference_mode()
def test_a_path_through_layers_is_the_exported_model(kind, tmp_path):
    folders = {
        name: save(model_of(kind, False, seed), tmp_path / name) for seed, name in enumerate("ab")
    }
    pool = open_pico(folders)
    merger = Dfs(pool, scale="none")
    hops = [Hop("a", 0), Hop("b", 1), Hop("a", 1), Hop("b", 0)]
    recipe = merger.recipe_of(hops)
    candidate = merger.build(recipe)
    live = LiveModel(pool, device="cpu", attention="eager")
    live.write(candidate)
    walked = live.model(input_ids=IDS).logits
    export(candidate, recipe, pool, tmp_path / "out", card="# card")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out", attn_implementation="eager")
    assert len(loaded.get_submodule(live._at)) == 4
    torch.testing.assert_close(walked, loaded(input_ids=IDS).logits, rtol=1e-4, atol=1e-4)
