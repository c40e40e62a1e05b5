"""Exports of models that see: whole folders for transformers, bit for bit what was scored."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from evoforge.evaluator._live import LiveModel
from evoforge.evaluator._plain import loaded
from evoforge.export import divergence, export
from evoforge.merge.dfs import Dfs
from evoforge.merge.linear import Linear
from evoforge.merge.task_arithmetic import TaskArithmetic
from evoforge.models.processor import processor_of
from evoforge.path import Hop
from tests.vlms import FAMILIES, make_vlm, open_vlm, picture

SEARCHED = {"low": 0.0, "high": 1.0}
PATH = [Hop("vlm", 0), Hop("llm", 1, 1.3), Hop("vlm", 1), Hop("llm", 1, -0.8), Hop("vlm", 2, 1.1)]


def exported(merger, recipe, folder):
    """Export the candidate of a recipe; return the live model that it was scored in."""
    candidate = merger.build(recipe)
    live = LiveModel(merger.pool, device="cpu", attention="auto")
    live.write(candidate)
    export(candidate, recipe, merger.pool, folder, card="# card")
    return live.model


def shown(processor, marker):
    return processor(images=picture(), text=f"a{marker}b", return_tensors="pt")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_exported_merge_is_the_scored_one_bit_for_bit(family, dtype, vlms, tmp_path):
    pool = open_vlm(vlms(family), dtype=dtype)
    merger = Linear(pool, weight=SEARCHED)
    live = exported(merger, merger.recipe(merger.space.init), tmp_path / "m")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "m", dtype="auto").eval()
    mine, other = live.state_dict(), model.state_dict()
    assert set(mine) == set(other)
    for name in mine:
        assert other[name].dtype == pool.dtype
        assert torch.equal(mine[name], other[name]), name
    processor = processor_of(tmp_path / "m", model.config, pool.tokenizer)
    given = shown(processor, pool.vision.marker).to(pool.dtype)
    with torch.no_grad():
        assert torch.equal(live(**given).logits, model(**given).logits)


@pytest.mark.parametrize("target", ["stream", "branch"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_exported_path_says_what_the_scored_one_does(family, target, vlms, tmp_path):
    pool = open_vlm(vlms(family))
    plain = family == "gemma3"  # whose norms are not known to fold
    scale = "none" if plain else "hop"
    merger = Dfs(pool, sources=["vlm", "llm"], scale=scale, scale_target=target)
    path = [Hop(hop.source, hop.layer) for hop in PATH] if plain else PATH
    live = exported(merger, merger.recipe_of(path), tmp_path / "m")
    model = loaded(tmp_path / "m", torch.float32, "sdpa")
    assert model.config.get_text_config().num_hidden_layers == 5
    given = shown(pool.vision.processor(pool.tokenizer), pool.vision.marker)
    with torch.no_grad():
        found = divergence(live(**given).logits, model(**given).logits)
    assert found["divergence"] < 1e-6
    assert found["same_token"] == 1


def test_the_folder_has_the_names_of_the_vlms_checkpoint_and_what_it_never_merged(vlms, tmp_path):
    pool = open_vlm(vlms("llava"))
    merger = Linear(pool, weight=SEARCHED)
    exported(merger, merger.recipe(merger.space.init), tmp_path / "m")
    mine = load_file(tmp_path / "m" / "model.safetensors")
    own = load_file(vlms("llava")["vlm"] / "model.safetensors")
    assert set(mine) == set(own)
    for name in pool.vision.frozen:
        assert torch.equal(mine[name], own[name])
    recipe = json.loads((tmp_path / "m" / "recipe.json").read_text())
    assert recipe["vision"] == pool.vision.facts
    assert not (tmp_path / "m" / "mergekit_config.yml").exists()


@pytest.mark.parametrize("family", ["llava", "llava_next", "gemma3", "idefics3"])
def test_its_processor_is_loaded_by_transformers(family, vlms, tmp_path):
    pool = open_vlm(vlms(family))
    merger = Linear(pool, weight=SEARCHED)
    exported(merger, merger.recipe(merger.space.init), tmp_path / "m")
    processor = AutoProcessor.from_pretrained(tmp_path / "m")
    mine = shown(pool.vision.processor(pool.tokenizer), pool.vision.marker)
    other = shown(processor, pool.vision.marker)
    assert all(torch.equal(mine[key], other[key]) for key in mine)
    message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a"}]}]
    assert pool.vision.marker in processor.apply_chat_template(message, tokenize=False)


@pytest.fixture(scope="module")
def next_folders(tmp_path_factory):
    """Return a LLaVA-NeXT, and a text model of another rotary base without its tokens."""
    theta = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}
    return make_vlm(
        "llava_next",
        tmp_path_factory.mktemp("next"),
        blind=True,
        of_llm={"sliding_window": 8} | theta,
    )


def test_a_path_led_by_a_deeper_text_model_is_exported_as_it_was_scored(vlms, tmp_path):
    deep = make_vlm("llava", tmp_path, num_hidden_layers=5)["llm"]
    pool = open_vlm({"llm": deep, "vlm": vlms("llava")["vlm"]})
    merger = Dfs(pool, sources=["llm", "vlm"])
    recipe = merger.recipe_of([Hop("llm", 0), Hop("vlm", 1, 1.2), Hop("llm", 4)])
    live = exported(merger, recipe, tmp_path / "m")
    model = loaded(tmp_path / "m", torch.float32, "sdpa")
    assert model.config.get_text_config().num_hidden_layers == 3
    given = shown(merger.pool.vision.processor(merger.pool.tokenizer), "<image>")
    with torch.no_grad():
        assert divergence(live(**given).logits, model(**given).logits)["divergence"] < 1e-6


def test_llava_next_under_its_new_names_can_be_run_as_llava(next_folders, tmp_path):
    folder = shutil.copytree(next_folders["vlm"], tmp_path / "new")
    model = AutoModelForImageTextToText.from_pretrained(next_folders["vlm"])
    model.save_pretrained(folder, save_original_format=False)
    assert "model.image_newline" in load_file(folder / "model.safetensors")
    options = {"model_type": "llava", "from": "vlm"}
    pool = open_vlm({"vlm": folder, "llm": next_folders["llm"]}, vision=options)
    assert len(pool.vision.frozen) == len(open_vlm(next_folders, vision=options).vision.frozen)
    assert "model.image_newline" not in pool.vision.frozen


@pytest.mark.parametrize("merge", ["weights", "path"])
def test_llava_next_can_be_run_and_released_as_llava(merge, next_folders, tmp_path):
    pool = open_vlm(
        next_folders,
        base="llm",
        tokenizer="vlm",
        vision={"model_type": "llava", "from": {"rope_theta": "vlm", "sliding_window": "llm"}},
    )
    pool.check()
    if merge == "weights":
        merger = TaskArithmetic(pool, weight=SEARCHED)
        recipe = merger.recipe(merger.space.init)
    else:
        merger = Dfs(pool, sources=["vlm", "llm"])
        recipe = merger.recipe_of(PATH)
    live = exported(merger, recipe, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["architectures"] == ["LlavaForConditionalGeneration"]
    assert config["text_config"]["sliding_window"] == 8
    assert "image_newline" not in load_file(tmp_path / "m" / "model.safetensors")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "m").eval()
    assert type(model).__name__ == type(live).__name__ == "LlavaForConditionalGeneration"
    given = shown(AutoProcessor.from_pretrained(tmp_path / "m"), "<image>")
    assert given["input_ids"].shape == (1, 2 + 16)  # one word for each patch of 4 x 4 pixels
    with torch.no_grad():
        found = divergence(live(**given).logits, model(**given).logits)
    assert found["divergence"] < (1e-6 if merge == "path" else 1e-12)
