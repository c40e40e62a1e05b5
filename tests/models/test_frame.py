"""Language parts of vision-language models, under the names of text models."""

import json
import re
import shutil
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from evoforge.errors import PoolError
from evoforge.models.frame import Frame, sees
from evoforge.models.opening import open_source
from evoforge.models.spec import SourceSpec
from tests.vlms import FAMILIES

# How the same tensors are called by other versions of transformers: in memory, and long ago.
IN_MEMORY = {
    "llava": [
        (r"^language_model\.model", "model.language_model"),
        (r"^language_model\.lm_head", "lm_head"),
        (r"^(vision_tower|multi_modal_projector)", r"model.\1"),
    ],
    "qwen2_vl": [(r"^model\.", "model.language_model."), (r"^visual", "model.visual")],
}
LONG_AGO = {"llava": [(r"^vision_tower\.", "vision_tower.vision_model.")]}
SPELLINGS = [*IN_MEMORY.items(), *LONG_AGO.items()]
LANGUAGE = r".*(language_model|text_model)\..*\.q_proj"


def opened(folder, name="vlm"):
    return open_source(SourceSpec(name, str(folder)))


def rewritten(folder, target, change):
    """Return a copy of a model's folder with other tensors."""
    shutil.copytree(folder, target)
    tensors = change(load_file(folder / "model.safetensors"))
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


@pytest.mark.parametrize("family", FAMILIES)
def test_the_language_part_has_the_names_and_tensors_of_the_text_model(family, vlms):
    vlm, llm = opened(vlms(family)["vlm"]), opened(vlms(family)["llm"], "llm")
    assert set(vlm.tensors) == set(llm.tensors)
    assert vlm.num_layers == llm.num_layers == 3
    model = AutoModelForImageTextToText.from_pretrained(vlms(family)["vlm"])
    decoder = model.get_decoder().state_dict()
    for name in vlm.tensors:
        inside = name.removeprefix("model.")
        wanted = decoder[inside] if inside in decoder else model.get_output_embeddings().weight
        assert torch.equal(vlm.tensors[name], wanted), name


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_are_the_language_parts(family, vlms):
    vlm, llm = opened(vlms(family)["vlm"]), opened(vlms(family)["llm"], "llm")
    assert vlm.sees
    assert not llm.sees
    assert vlm.config["hidden_size"] == 16
    assert vlm.config["tie_word_embeddings"] == llm.config["tie_word_embeddings"]
    assert vlm.per_layer.get("layer_types") == llm.per_layer.get("layer_types")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_tensor_is_of_language_or_around_it(family, vlms):
    source = opened(vlms(family)["vlm"])
    stored = set(load_file(vlms(family)["vlm"] / "model.safetensors"))
    language = {source.frame.stored(name) for name in source.tensors}
    assert language | set(source.frame.others) == stored
    assert not language & set(source.frame.others)


def test_stored_names_hold_for_any_number_of_the_block(vlms):
    frame = opened(vlms("llava")["vlm"]).frame
    found = frame.stored("model.layers.40.mlp.up_proj.weight")
    assert found == "language_model.model.layers.40.mlp.up_proj.weight"
    assert frame.stored("lm_head.weight") == "language_model.lm_head.weight"


def test_a_head_that_is_not_stored_has_a_name_that_transformers_reads(vlms):
    frame = opened(vlms("gemma3")["vlm"]).frame
    assert frame.tied
    assert "lm_head.weight" not in frame.language
    assert frame.plain(frame.stored("lm_head.weight")) == "lm_head.weight"


@pytest.mark.parametrize(("family", "rules"), SPELLINGS)
def test_names_of_other_versions_give_the_same_language_part(family, rules, vlms, tmp_path):
    def renamed(tensors):
        for pattern, name in rules:
            tensors = {re.sub(pattern, name, k): v for k, v in tensors.items()}
        return tensors

    folder = vlms(family)["vlm"]
    other = opened(rewritten(folder, tmp_path / "other", renamed))
    mine = opened(folder)
    assert other.hash == mine.hash
    assert len(other.frame.others) == len(mine.frame.others)
    name = "model.layers.2.self_attn.q_proj.weight"
    assert other.frame.stored(name) in other.weights


def test_a_stored_copy_of_a_tied_head_is_left_out(vlms, tmp_path):
    def with_copy(tensors):
        table = tensors["language_model.model.embed_tokens.weight"]
        return {**tensors, "language_model.lm_head.weight": table.clone()}

    folder = vlms("gemma3")["vlm"]
    source = opened(rewritten(folder, tmp_path / "other", with_copy))
    assert "lm_head.weight" not in source.tensors
    assert source.hash == opened(folder).hash


def test_numbers_of_places_that_old_checkpoints_store_are_no_weights(vlms, tmp_path):
    def with_places(tensors):
        name = "vision_tower.vision_model.embeddings.position_ids"
        return {**tensors, name: torch.arange(17).unsqueeze(0)}

    source = opened(rewritten(vlms("llava")["vlm"], tmp_path / "other", with_places))
    assert len(source.frame.others) == 43


def test_a_tensor_that_the_class_does_not_know_is_refused(vlms, tmp_path):
    def with_more(tensors):
        return {**tensors, "resampler.weight": torch.zeros(2)}

    source = opened(rewritten(vlms("llava")["vlm"], tmp_path / "other", with_more))
    with pytest.raises(PoolError, match=r"vlm has the tensor resampler.weight, which Llava"):
        _ = source.tensors


def test_a_text_model_has_no_frame(pico):
    config = AutoConfig.from_pretrained(pico["a"])
    assert not sees(config)
    assert opened(pico["a"]).frame is None


@pytest.mark.parametrize("which", ["llm", "vlm"])
def test_a_model_that_transformers_cannot_build_is_refused(which, vlms):
    config = AutoConfig.from_pretrained(vlms("llava")[which])
    if which == "vlm":
        config.vision_config.patch_size = 0
    with pytest.raises(PoolError, match="transformers cannot build x: .*; take another source"):
        Frame(config, [], "x")


def trained(folder, target, **settings):
    """Return the folder of an adapter that changes what it is put on, and the merged model."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(7)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    with warnings.catch_warnings():
        # peft asks transformers for what has another name by now.
        warnings.simplefilter("ignore", FutureWarning)
        adapted = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, **settings))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_()
    adapted.save_pretrained(target)
    return adapted.merge_and_unload()


def with_adapter(folder, adapter):
    base = opened(folder)
    spec = SourceSpec("lora", str(adapter), adapter_of="vlm")
    return open_source(spec, base)


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "idefics3"])
def test_an_adapter_of_the_language_part_is_what_peft_merges(family, vlms, tmp_path):
    folder = vlms(family)["vlm"]
    merged = trained(folder, tmp_path / "a", target_modules=LANGUAGE)
    source = with_adapter(folder, tmp_path / "a")
    name = "layers.1.self_attn.q_proj.weight"
    wanted = merged.get_decoder().state_dict()[name]
    torch.testing.assert_close(source.tensors[f"model.{name}"], wanted)
    assert source.sees
    assert source.frame is None


def test_adapter_names_of_older_versions_are_known(vlms, tmp_path):
    folder = vlms("llava")["vlm"]
    merged = trained(folder, tmp_path / "a", target_modules=LANGUAGE)
    path = tmp_path / "a" / "adapter_model.safetensors"
    old = {
        key.replace("model.model.language_model.", "model.language_model.model."): tensor
        for key, tensor in load_file(path).items()
    }
    assert set(old) != set(load_file(path))
    save_file(old, path)
    found = with_adapter(folder, tmp_path / "a").tensors
    name = "layers.0.self_attn.q_proj.weight"
    torch.testing.assert_close(found[f"model.{name}"], merged.get_decoder().state_dict()[name])


def test_an_adapter_that_changes_the_tower_is_refused(vlms, tmp_path):
    folder = vlms("llava")["vlm"]
    trained(folder, tmp_path / "a", target_modules=["q_proj"])
    with pytest.raises(PoolError, match="is not of the language part that is merged; merge it"):
        with_adapter(folder, tmp_path / "a")


def test_the_language_part_alone_is_a_text_model(vlms, tmp_path):
    folders = vlms("llava")
    source = opened(folders["vlm"])
    model = AutoModelForCausalLM.from_pretrained(folders["llm"])
    model.load_state_dict(dict(source.tensors))
    whole = AutoModelForImageTextToText.from_pretrained(folders["vlm"])
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        assert torch.equal(model(ids).logits, whole(input_ids=ids).logits)
    assert json.loads((folders["vlm"] / "config.json").read_text())["model_type"] == "llava"
