import pytest

from evoforge.errors import ConfigError, PoolError
from evoforge.models.layout import (
    Place,
    block_tensors,
    blocks_at,
    groups,
    in_block,
    num_blocks,
    place,
)

LLAMA = [
    ("model.embed_tokens.weight", None, "embedding"),
    ("model.layers.0.self_attn.q_proj.weight", 0, "attention"),
    ("model.layers.11.self_attn.o_proj.weight", 11, "attention"),
    ("model.layers.3.self_attn.k_proj.bias", 3, "attention"),
    ("model.layers.3.mlp.gate_proj.weight", 3, "mlp"),
    ("model.layers.3.mlp.down_proj.weight", 3, "mlp"),
    ("model.layers.3.input_layernorm.weight", 3, "norm"),
    ("model.layers.3.post_attention_layernorm.weight", 3, "norm"),
    ("model.norm.weight", None, "norm"),
    ("lm_head.weight", None, "head"),
]
QWEN_3 = [
    ("model.layers.2.self_attn.q_norm.weight", 2, "attention"),
    ("model.layers.2.self_attn.k_norm.weight", 2, "attention"),
]
GEMMA_3 = [
    ("model.layers.5.pre_feedforward_layernorm.weight", 5, "norm"),
    ("model.layers.5.post_feedforward_layernorm.weight", 5, "norm"),
]
GPT_NEOX = [
    ("gpt_neox.embed_in.weight", None, "embedding"),
    ("gpt_neox.layers.1.attention.query_key_value.weight", 1, "attention"),
    ("gpt_neox.layers.1.attention.dense.bias", 1, "attention"),
    ("gpt_neox.layers.1.mlp.dense_h_to_4h.weight", 1, "mlp"),
    ("gpt_neox.layers.1.input_layernorm.bias", 1, "norm"),
    ("gpt_neox.layers.1.post_attention_layernorm.weight", 1, "norm"),
    ("gpt_neox.final_layer_norm.weight", None, "norm"),
    ("embed_out.weight", None, "head"),
]
GPT_2 = [
    ("wte.weight", None, "embedding"),
    ("transformer.wpe.weight", None, "embedding"),
    ("h.0.ln_1.weight", 0, "norm"),
    ("transformer.h.0.ln_2.bias", 0, "norm"),
    ("transformer.h.0.attn.c_attn.weight", 0, "attention"),
    ("transformer.h.0.attn.c_proj.weight", 0, "attention"),
    ("transformer.h.0.mlp.c_fc.weight", 0, "mlp"),
    ("transformer.ln_f.weight", None, "norm"),
]
MIXTRAL = [
    ("model.layers.7.block_sparse_moe.gate.weight", 7, "mlp"),
    ("model.layers.7.block_sparse_moe.experts.3.w1.weight", 7, "mlp"),
]
PHI_3 = [
    ("model.layers.4.self_attn.qkv_proj.weight", 4, "attention"),
    ("model.layers.4.mlp.gate_up_proj.weight", 4, "mlp"),
]
KNOWN = [*LLAMA, *QWEN_3, *GEMMA_3, *GPT_NEOX, *GPT_2, *MIXTRAL, *PHI_3]

BLOCK = ["input_layernorm", "mlp.up_proj", "self_attn.q_proj"]


def names(count):
    """Return the names of a small Llama, in no order."""
    blocks = [f"model.layers.{i}.{part}.weight" for i in range(count) for part in BLOCK]
    return ["lm_head.weight", *reversed(blocks), "model.norm.weight", "model.embed_tokens.weight"]


@pytest.mark.parametrize(("name", "block", "module"), KNOWN)
def test_the_place_of_a_tensor_is_told_from_its_name(name, block, module):
    assert place(name) == Place(block, module)


@pytest.mark.parametrize(
    ("given", "count"), [(names(3), 3), (names(12), 12), (["model.norm.weight"], 0)]
)
def test_blocks_are_counted(given, count):
    assert num_blocks(given) == count


def test_a_gap_in_the_blocks_is_an_error():
    gap = [f"model.layers.{i}.mlp.up_proj.weight" for i in (0, 1, 3)]
    with pytest.raises(PoolError, match=r"blocks are numbered \[0, 1, 3\], not 0 to 2"):
        num_blocks(gap)


def test_whole_is_one_group_of_everything():
    found = groups(names(2), "whole", 1)
    assert list(found) == ["all"]
    assert sorted(found["all"]) == sorted(names(2))


def test_layers_are_groups_in_order_between_embedding_norm_and_head():
    found = groups(names(12), "layer", 1)
    layers = [f"layer{i}" for i in range(12)]
    assert list(found) == ["embedding", *layers, "final_norm", "lm_head"]
    assert found["layer2"] == tuple(f"model.layers.2.{part}.weight" for part in BLOCK)


def test_modules_are_groups_of_each_layer():
    found = groups(names(2), "module", 1)
    modules = [f"layer{i}_{m}" for i in range(2) for m in ("norm", "mlp", "attention")]
    assert list(found) == ["embedding", *modules, "final_norm", "lm_head"]
    assert found["layer1_attention"] == ("model.layers.1.self_attn.q_proj.weight",)


def test_a_block_holds_its_layers():
    found = groups(names(4), "block", 2)
    assert list(found) == ["embedding", "layers0-1", "layers2-3", "final_norm", "lm_head"]
    assert {place(name).block for name in found["layers2-3"]} == {2, 3}


def test_the_last_block_holds_what_is_left():
    found = groups(names(5), "block", 2)
    assert list(found)[1:4] == ["layers0-1", "layers2-3", "layers4-4"]
    assert len(found["layers4-4"]) == len(BLOCK)


@pytest.mark.parametrize("granularity", ["whole", "block", "layer", "module", "tensor"])
def test_every_tensor_is_in_one_group(granularity):
    found = [name for group in groups(names(5), granularity, 3).values() for name in group]
    assert sorted(found) == sorted(names(5))


def test_groups_do_not_depend_on_the_order_of_the_names():
    assert groups(names(5), "block", 2) == groups(sorted(names(5)), "block", 2)


def test_tied_embeddings_leave_no_head_to_group():
    assert "lm_head" not in groups([n for n in names(2) if "lm_head" not in n], "layer", 1)


def test_an_unknown_granularity_answers_with_the_choices():
    with pytest.raises(
        ConfigError, match=r"one of auto, whole, .*, profile, got row; set merge\.granularity"
    ):
        groups(names(2), "row", 1)


@pytest.mark.parametrize("size", [0, -1, 5])
def test_a_block_size_that_does_not_fit_names_the_option(size):
    with pytest.raises(
        ConfigError, match=rf"block_size must be in \[1, 4\], got {size}; set merge\.block_size"
    ):
        groups(names(4), "block", size)


def test_the_block_size_matters_to_blocks_alone():
    assert groups(names(4), "layer", 99) == groups(names(4), "layer", 1)


def test_the_tensors_of_a_block_by_their_names_within_it():
    names = ["model.layers.1.mlp.up_proj.weight", "model.layers.11.mlp.up_proj.weight", "lm_head"]
    assert block_tensors(names, 11) == {"mlp.up_proj.weight": names[1]}


@pytest.mark.parametrize(
    ("name", "wanted", "at"),
    [
        ("model.layers.3.mlp.up_proj.weight", "model.layers.12.mlp.up_proj.weight", "model.layers"),
        ("transformer.h.0.ln_1.bias", "transformer.h.12.ln_1.bias", "transformer.h"),
        ("gpt_neox.layers.1.x", "gpt_neox.layers.12.x", "gpt_neox.layers"),
    ],
)
def test_a_block_can_be_given_another_number(name, wanted, at):
    assert in_block(name, 12) == wanted
    assert blocks_at(["embed", name]) == at
