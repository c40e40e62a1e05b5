import pytest
import torch
from transformers import AutoConfig, AutoProcessor

from evoforge.errors import PoolError
from evoforge.models.files import LONGEST
from evoforge.models.fixed_view import as_llava, llava_processor
from evoforge.models.processor import SETTINGS, marker_of, processor_of, save_processor
from tests.vlms import FAMILIES, MARKERS, picture, vlm_tokenizer

# Their processors of videos, which AutoProcessor builds too, need torchvision.
ALSO_VIDEOS = ("qwen2_vl", "qwen2_5_vl", "smolvlm")


def of(folder, family):
    return processor_of(folder, AutoConfig.from_pretrained(folder), vlm_tokenizer(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_processor_without_torchvision(family, vlms):
    processor = of(vlms(family)["vlm"], family)
    found = processor(images=picture(), text=f"a{MARKERS[family]}b", return_tensors="pt")
    assert {"input_ids", "pixel_values"} <= set(found)
    assert found["input_ids"].shape[1] > 6


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - set(ALSO_VIDEOS)))
def test_it_prepares_pictures_as_transformers_own_does(family, vlms):
    processor, own = (
        of(vlms(family)["vlm"], family),
        AutoProcessor.from_pretrained(vlms(family)["vlm"]),
    )
    mine, other = (
        each(images=picture(), text=f"a{MARKERS[family]}b", return_tensors="pt")
        for each in (processor, own)
    )
    assert set(mine) == set(other)
    assert all(torch.equal(mine[key], other[key]) for key in mine)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_marker_is_what_the_chat_template_has_for_a_picture(family, vlms):
    assert marker_of(of(vlms(family)["vlm"], family)) == MARKERS[family]


@pytest.mark.parametrize("template", [None, "{{ messages[0]['content'] + 'a' }}", "{{ 'a' }}"])
def test_without_a_template_for_pictures_the_marker_is_the_token(template, vlms):
    processor = of(vlms("qwen2_vl")["vlm"], "qwen2_vl")
    processor.chat_template = template
    assert marker_of(processor) == "<|image_pad|>"


def test_what_old_folders_do_not_say_comes_from_the_tower(vlms, remake):
    folder = remake("old", near=vlms("llava")["vlm"])
    (folder / "processor_config.json").write_text('{"processor_class": "LlavaProcessor"}')
    processor = of(folder, "llava")
    assert (processor.patch_size, processor.num_additional_image_tokens) == (4, 1)
    assert processor.vision_feature_select_strategy == "default"


def test_a_folder_without_a_processor_is_refused(vlms, remake):
    folder = remake("bare", near=vlms("llava")["vlm"])
    for name in SETTINGS:
        (folder / name).unlink()
    with pytest.raises(PoolError, match="has no processor_config.json and no preprocessor_config"):
        of(folder, "llava")


def test_a_damaged_processor_is_refused(vlms, remake):
    folder = remake("damaged", near=vlms("llava")["vlm"])
    (folder / "preprocessor_config.json").write_text("{")
    with pytest.raises(PoolError, match="cannot be used: .*; copy or download its files again"):
        of(folder, "llava")


@pytest.mark.parametrize("content", ["{", "[]", '{"image_processor_type": "x"}'])
def test_a_damaged_processor_of_llava_next_as_llava_is_refused(content, vlms, remake):
    folder = remake("damaged", near=vlms("llava_next")["vlm"])
    (folder / "preprocessor_config.json").write_text(content)
    config = as_llava(AutoConfig.from_pretrained(folder), "x")
    with pytest.raises(PoolError, match="cannot be used: .*; copy or download its files") as caught:
        llava_processor(folder, config, vlm_tokenizer("llava_next"))
    assert len(str(caught.value)) < 200 + len(f"{folder}") + LONGEST


@pytest.mark.parametrize("family", FAMILIES)
def test_a_written_processor_is_the_same_again(family, vlms, tmp_path):
    folder = vlms(family)["vlm"]
    processor = of(folder, family)
    save_processor(processor, tmp_path, folder)
    again = processor_of(tmp_path, AutoConfig.from_pretrained(folder), vlm_tokenizer(family))
    assert again.chat_template == processor.chat_template
    assert {path.name for path in tmp_path.iterdir()} >= {"tokenizer.json", "processor_config.json"}
    mine, other = (
        each(images=picture(), text=f"a{MARKERS[family]}b", return_tensors="pt")
        for each in (processor, again)
    )
    assert all(torch.equal(mine[key], other[key]) for key in mine)
