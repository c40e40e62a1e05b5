"""Pools of a vision-language model and text models: what candidates see with, and who chooses."""

import json
import re

import pytest
import torch
from transformers import AutoModelForCausalLM

from evoforge.config import build
from evoforge.errors import ConfigError, PoolError
from evoforge.models.preflight import needed, preflight
from evoforge.models.processor import SETTINGS
from evoforge.recipe import canonical
from tests.conftest import pico_tokenizer
from tests.vlms import FAMILIES, IDS, MARKERS, make_vlm, open_vlm, picture, vlm_tokenizer

PROJECTOR = "multi_modal_projector.linear_1.weight"
DEEP = ["sliding_attention", "full_attention"] * 2 + ["sliding_attention"]
WINDOWS = {"sliding_window": 16, "max_position_embeddings": 128}
ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}


@pytest.fixture(scope="module")
def differing(tmp_path_factory):
    """Return a LLaVA, and a text model with another rotary base and other windows."""
    return make_vlm("llava", tmp_path_factory.mktemp("differ"), of_llm={**WINDOWS, **ROPE})


@pytest.fixture(scope="module")
def blind(tmp_path_factory):
    """Return what makes folders of a family whose text model has no tokens for pictures."""
    made = {}

    def make(family):
        if family not in made:
            made[family] = make_vlm(family, tmp_path_factory.mktemp(family), blind=True)
        return made[family]

    return make


@pytest.mark.parametrize("base", ["llm", "vlm", None])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_vlm_and_a_text_model_make_a_pool(family, base, vlms):
    pool = open_vlm(vlms(family), base=base)
    pool.check()
    pool.check_layers(["llm", "vlm"])
    pool.check_layers(["vlm", "llm"])
    assert pool.vision.marker == MARKERS[family]
    assert pool.model_config().model_type == family
    assert pool.window == 256
    assert pool.names == tuple(pool.member("llm").tensors) or base != "llm"


def test_a_pool_of_text_models_sees_nothing(pool):
    assert pool.vision is None
    assert pool.window == 128


def test_a_pool_led_by_another_source_sees_with_the_same(vlms):
    pool = open_vlm(vlms("llava"), base="vlm")
    assert pool.led_by("llm").vision is pool.vision


def test_settings_that_differ_must_be_chosen(differing):
    sentence = (
        r"vlm and llm differ in max_position_embeddings \(256 against 128\), rope_theta "
        r"\(10000.0 against 1000000.0\), sliding_window \(None against 16\); set "
        "models.vision.from=vlm or =llm"
    )
    with pytest.raises(PoolError, match=sentence):
        open_vlm(differing)


@pytest.mark.parametrize(
    ("take", "theta", "sliding", "window"),
    [
        ("vlm", 1e4, None, 256),
        ("llm", 1e6, 16, 128),
        (
            {"rope_theta": "llm", "sliding_window": "vlm", "max_position_embeddings": "llm"},
            *(1e6, None, 128),
        ),
    ],
)
def test_the_choice_is_what_merged_models_have(take, theta, sliding, window, differing):
    pool = open_vlm(differing, vision={"from": take})
    pool.check()
    pool.check_layers(["llm", "vlm"])
    text = pool.model_config().get_text_config()
    assert text.rope_parameters["rope_theta"] == theta
    assert text.sliding_window == sliding
    assert pool.window == window
    assert pool.led_by("llm").window == window


def test_a_choice_of_some_leaves_the_others_to_choose(differing):
    with pytest.raises(PoolError, match=r"differ in max_position_embeddings .*: llm\}$"):
        open_vlm(differing, vision={"from": {"rope_theta": "llm", "sliding_window": "vlm"}})


def test_another_text_model_must_have_one_of_the_two_values(differing, vlms, tmp_path):
    other = make_vlm("llava", tmp_path, of_llm={**WINDOWS, "sliding_window": 4, **ROPE})["llm"]
    folders = {**differing, "other": other}
    pool = open_vlm(folders, base="vlm", vision={"from": "llm"})
    assert list(pool.misfits) == ["other"]
    assert "sliding_window is 4 against None" in pool.misfits["other"]
    assert (
        list(
            open_vlm(
                {**differing, "same": differing["llm"]}, base="vlm", vision={"from": "llm"}
            ).misfits
        )
        == []
    )


@pytest.mark.parametrize(
    ("vision", "sentence"),
    [
        ({"from": "both"}, "from must be vlm, llm, or a mapping .*, got 'both'; set models.vision"),
        ({"from": {"rope_theta": "x"}}, "from must be vlm, llm, or a mapping .*, got 'x'"),
        ({"from": {"theta": "vlm"}}, "from must name settings that both models have, got theta"),
        ({"form": "vlm"}, "vision has the options source, from, model_type, got form"),
        ({"source": "llm"}, r"source must name one that sees pictures \(vlm\), got llm"),
        ({"model_type": "x"}, "model_type must be null or llava, got x"),
        ({"model_type": "llava"}, "model_type must be null for vlm, which is llava and not"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(vision, sentence, vlms):
    with pytest.raises(ConfigError, match=sentence):
        open_vlm(vlms("llava"), vision=vision)


def test_an_option_for_a_pool_that_sees_nothing_is_refused(vlms):
    folder = vlms("llava")["llm"]
    with pytest.raises(ConfigError, match="from must be null where no source sees pictures, got"):
        open_vlm({"a": folder, "b": folder}, vision={"from": "vlm"})
    pool = open_vlm({"a": folder, "b": folder}, vision={"from": None, "source": None})
    assert pool.vision is None


def test_of_several_that_see_one_must_be_named(vlms):
    folders = vlms("llava")
    both = {"a": folders["vlm"], "b": folders["vlm"], "llm": folders["llm"]}
    with pytest.raises(ConfigError, match=r"several sources see pictures \(a, b\), so one must"):
        open_vlm(both)
    pool = open_vlm(both, vision={"source": "b"})
    pool.check()
    assert pool.vision.facts["source"] == "b"


def test_without_a_text_model_nothing_differs(vlms):
    folder = vlms("llava")["vlm"]
    pool = open_vlm({"a": folder, "b": folder}, vision={"source": "b"})
    assert pool.vision.differences(pool.model_config(), pool.tokenizer) == []
    with pytest.raises(ConfigError, match="from must be vlm or null where all sources see"):
        open_vlm({"a": folder, "b": folder}, vision={"source": "b", "from": "llm"})


def test_a_language_part_of_other_sizes_is_refused(vlms, tmp_path):
    wide = make_vlm("llava", tmp_path / "wide", intermediate_size=32)["llm"]
    deep = make_vlm("llava", tmp_path / "deep", num_hidden_layers=2)["llm"]
    folder = vlms("llava")["vlm"]
    assert "intermediate_size is 24 against 32" in open_vlm({"a": wide, "b": folder}).misfits["b"]
    pool = open_vlm({"a": deep, "b": folder})
    assert "num_hidden_layers is 3 against 2" in pool.misfits["b"]
    pool.check_layers(["b", "a"])  # a path may lead through models of other depths


def test_a_text_model_of_another_kind_is_refused(vlms):
    llama = vlms("smolvlm")["llm"]
    pool = open_vlm({"a": vlms("llava")["vlm"], "b": llama})
    assert "b does not fit a: model_type is llama against mistral" in pool.misfits["b"]
    pool = open_vlm({"a": vlms("llava")["vlm"], "b": llama}, ignore=["model_type"])
    assert list(pool.misfits) == []


def test_a_path_led_by_a_text_model_has_its_layers_and_rows(vlms, tmp_path):
    deep = make_vlm("gemma3", tmp_path, num_hidden_layers=5, layer_types=DEEP)["llm"]
    pool = open_vlm({"vlm": vlms("gemma3")["vlm"], "llm": deep}, tokenizer="vlm").led_by("llm")
    pool.check_layers(["llm", "vlm"])
    text = pool.model_config().get_text_config()
    assert (text.num_hidden_layers, text.layer_types, text.vocab_size) == (5, DEEP, 79)


def test_a_text_model_without_the_tokens_for_pictures_leads_no_path(blind):
    pool = open_vlm(blind("llava")).led_by("llm")
    with pytest.raises(
        PoolError, match=r"llm cannot lead .*'<image>' .*; set models.tokenizer=vlm"
    ):
        pool.check_layers(["llm", "vlm"])
    open_vlm(blind("llava"), tokenizer="vlm").led_by("llm").check_layers(["llm", "vlm"])
    pool.led_by("vlm").check_layers(["vlm", "llm"])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"drop": [PROJECTOR]},
            "vlm has no tensor .*linear_1.weight, which LlavaForConditionalGen",
        ),
        (
            {"tensors": {PROJECTOR: torch.zeros(4, 8)}},
            r"linear_1.weight of shape \(4, 8\), but its config.json asks for \(16, 8\); copy or",
        ),
    ],
)
def test_a_model_that_lacks_a_part_is_refused_when_the_pool_is_opened(
    changes, sentence, vlms, remake
):
    folder = remake("part", near=vlms("llava")["vlm"], **changes)
    with pytest.raises(PoolError, match=sentence):
        open_vlm({"llm": vlms("llava")["llm"], "vlm": folder})


def test_a_missing_processor_is_refused_when_the_pool_is_opened(vlms, remake):
    folder = remake("bare", near=vlms("llava")["vlm"])
    for name in SETTINGS:
        (folder / name).unlink()
    with pytest.raises(PoolError, match=f"{folder} has no processor_config.json"):
        open_vlm({"vlm": folder, "llm": vlms("llava")["llm"]})


@pytest.mark.parametrize("family", FAMILIES)
def test_the_vlms_vocabulary_is_chosen_by_name(family, blind):
    pool = open_vlm(blind(family), base="llm", tokenizer="vlm")
    pool.check()
    config = pool.model_config()
    assert config.get_text_config().vocab_size == 79
    assert config.to_dict().get("image_token_id", config.image_token_id) in IDS.values()
    assert pool.tokenizer.get_vocab() == vlm_tokenizer(family).get_vocab()


def test_a_union_that_moves_tokens_for_pictures_moves_their_ids(blind, tmp_path):
    folders = blind("gemma3")
    moved = tmp_path / "moved"
    model = AutoModelForCausalLM.from_pretrained(folders["llm"])
    model.resize_token_embeddings(63)
    model.save_pretrained(moved)
    tokenizer = pico_tokenizer()
    tokenizer.add_tokens(["<extra>"])
    tokenizer.save_pretrained(moved)
    pool = open_vlm({"llm": moved, "vlm": folders["vlm"]}, base="llm", tokenizer="union")
    config = pool.model_config()
    assert config.get_text_config().vocab_size == 80
    assert config.image_token_index == IDS["<image_soft_token>"] + 1
    assert config.boi_token_index == IDS["<start_of_image>"] + 1
    found = pool.vision.processor(pool.tokenizer)(
        images=picture(), text="a<start_of_image>b", return_tensors="pt"
    )
    assert found["input_ids"][0].tolist().count(config.image_token_index) == 4


@pytest.mark.parametrize("options", [{"tokenizer": "llm"}, {"truncate": True}])
def test_a_vocabulary_without_the_picture_token_is_refused(options, blind):
    pool = open_vlm(blind("llava"), **options)
    sentence = r"has no <image>, which vlm needs for pictures \(image_token_index\); set models.tok"
    with pytest.raises(PoolError, match=f"{sentence}enizer=vlm"):
        pool.model_config()
    with pytest.raises(PoolError, match=sentence):
        pool.check_tokenizer()


def test_a_vlm_whose_tokenizer_lacks_its_own_picture_token_is_refused(vlms, remake):
    folder = remake("x", near=vlms("llava")["vlm"], config={"image_token_index": 500})
    pool = open_vlm({"vlm": folder, "llm": vlms("llava")["llm"]})
    with pytest.raises(PoolError, match="tokenizer of vlm has no token 500, which its image_token"):
        pool.model_config()


def test_special_tokens_of_the_chosen_vocabulary_are_the_whole_models(blind, remake):
    folders = blind("llava")
    other = remake("x", near=folders["vlm"], config={"pad_token_id": 5})
    pool = open_vlm({"llm": folders["llm"], "vlm": other}, base="llm", tokenizer="union")
    config = pool.model_config()
    assert config.pad_token_id == config.get_text_config().pad_token_id == 2


def test_differences_are_told_with_what_was_chosen(differing):
    pool = open_vlm(
        differing, vision={"from": {**dict.fromkeys(WINDOWS, "vlm"), "rope_theta": "llm"}}
    )
    found = {row.what: row for row in preflight(pool).differences}
    assert list(found) == ["max_position_embeddings", "rope_theta", "sliding_window", "class"]
    row = found["rope_theta"]
    assert (row.vlm, row.llm, row.chosen) == ("10000.0", "1000000.0", "1000000.0")
    assert found["sliding_window"].chosen == "none"
    kinds = found["class"]
    assert (kinds.vlm, kinds.llm, kinds.chosen) == ("Llava", "Mistral", "Llava")


def test_differences_of_vocabularies_are_told(blind):
    pool = open_vlm(blind("llava"), base="llm", tokenizer="vlm")
    found = {row.what: row for row in pool.vision.differences(pool.model_config(), pool.tokenizer)}
    rows, token = found["vocab_size"], found["image_token_index <image>"]
    assert (rows.vlm, rows.llm, rows.chosen) == ("79", "62", "79")
    assert (token.vlm, token.llm, token.chosen) == ("62", "none", "62")


def test_facts_say_what_was_chosen_and_of_which_frame(differing):
    facts = open_vlm(differing, vision={"from": "llm"}).vision.facts
    assert facts["class"] == "LlavaForConditionalGeneration"
    assert facts["settings"]["rope_theta"] == {"vlm": 1e4, "llm": 1e6, "from": "llm"}
    assert facts["hash"] == open_vlm(differing, vision={"from": "vlm"}).vision.hash


def test_facts_tell_when_pictures_are_prepared_otherwise(vlms, remake):
    folders = vlms("llava")
    folder = remake("dim", near=folders["vlm"])
    for file in (folder / name for name in SETTINGS):
        text = re.sub(r'("rescale_factor": )[\d.]+', r"\g<1>0.001", file.read_text())
        file.write_text(text)
    dim = open_vlm({**folders, "vlm": folder}).vision.facts
    assert {k for k, v in open_vlm(folders).vision.facts.items() if v != dim[k]} == {"processor"}


@pytest.mark.parametrize("family", FAMILIES)
def test_facts_are_plain_values(family, vlms):
    facts = open_vlm(vlms(family)).vision.facts
    assert json.loads(canonical(facts)) == facts


def test_the_memory_that_is_needed_counts_what_is_around_the_language_part(vlms):
    folders = vlms("llava")
    seeing = open_vlm(folders, base="llm")
    text = open_vlm({"llm": folders["llm"], "a": folders["llm"]}, base="llm")
    frozen = sum(tensor.numel() for tensor in seeing.vision.frozen.values())
    assert frozen == preflight(seeing).frozen
    # Once among the sources, once in the model that answers, in float32.
    assert needed(seeing) - needed(text) == 2 * 4 * frozen


def test_the_papers_models_go_together_as_their_options_say(compose, tmp_path):
    window = {"sliding_window": 8, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}
    made = make_vlm("llava_next", tmp_path, blind=True, of_llm=window)
    paths = {"base": made["llm"], "llava": made["vlm"], "ja": made["llm"]}
    given = [f"models.sources.{name}.path={path}" for name, path in paths.items()]
    pool = build(compose("models=evovlm_jp", *given)["models"], "models")
    pool.check()
    assert pool.dtype_name == "float16"
    assert pool.vision.facts["class"] == "LlavaForConditionalGeneration"
    text = pool.model_config().get_text_config()
    assert (text.sliding_window, text.rope_parameters["rope_theta"]) == (8, 1e6)
    assert text.vocab_size == 79
