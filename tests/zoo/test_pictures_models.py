"""The bundled folders of pictures: complete, small, loadable, as good and bad as they should be."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    MistralForCausalLM,
)

from evoforge.errors import ConfigError
from evoforge.zoo.baselines import task_arithmetic
from evoforge.zoo.pictures.check import FOLDER, load, load_frame, states
from evoforge.zoo.pictures.items import Pictures
from evoforge.zoo.pictures.scoring import complete, rouge_l, score
from evoforge.zoo.pictures.tokens import PATCHES, normalised
from evoforge.zoo.pictures.vlm import in_frame
from evoforge.zoo.pictures.words import IMAGE, PROMPTS

NAMES = ("base", "ja", "vlm")
TOTAL_BYTES = 6_000_000
# What is added of the vision-language model and of the Japanese one.
BEST = (0.8, 1.0)


@pytest.mark.parametrize("name", ["base", "ja"])
def test_language_models_load_with_the_auto_classes(name: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(FOLDER / name)
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / name)
    assert isinstance(model, MistralForCausalLM)
    assert model.dtype == torch.bfloat16
    assert model.config.vocab_size == len(tokenizer)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_the_vision_language_model_loads_with_the_auto_classes() -> None:
    model = AutoModelForImageTextToText.from_pretrained(FOLDER / "vlm")
    processor = AutoProcessor.from_pretrained(FOLDER / "vlm")
    assert isinstance(model, LlavaForConditionalGeneration)
    assert isinstance(processor, LlavaProcessor)
    assert model.dtype == torch.bfloat16
    assert model.config.image_token_id == processor.image_token_id
    assert model.generation_config.pad_token_id == processor.tokenizer.pad_token_id


def test_language_parts_share_names_shapes_and_tokenizer() -> None:
    base, ja = (in_frame(load(name).state_dict()) for name in ("base", "ja"))
    vlm = load("vlm").state_dict()
    for state in (ja, vlm):
        assert all(state[name].shape == tensor.shape for name, tensor in base.items())
    rest = {name.split(".")[1] for name in vlm.keys() - base.keys()}
    assert rest == {"vision_tower", "multi_modal_projector"}
    vocabularies = [Tokenizer.from_file(str(FOLDER / n / "tokenizer.json")) for n in NAMES]
    assert all(v.to_str() == vocabularies[0].to_str() for v in vocabularies)
    configs = [json.loads((FOLDER / name / "config.json").read_text()) for name in NAMES]
    assert configs[0] == configs[1]


def test_folders_stay_small() -> None:
    files = [path for name in NAMES for path in (FOLDER / name).rglob("*")]
    assert sum(path.stat().st_size for path in files) < TOTAL_BYTES


def test_processor_gives_sixteen_tokens_and_the_pixels_of_training() -> None:
    processor = AutoProcessor.from_pretrained(FOLDER / "vlm")
    image = Image.open(io.BytesIO(Pictures().rows("test")[0]["image"]))
    inputs = processor(images=[image], text=[f"{IMAGE}\n質問: "], return_tensors="pt")
    assert (inputs["input_ids"] == processor.image_token_id).sum() == PATCHES == 16
    assert inputs["input_ids"][0, 0] == processor.tokenizer.bos_token_id
    wanted = normalised(torch.from_numpy(np.array(image)))
    assert torch.equal(inputs["pixel_values"][0], wanted)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_tokenizer_gives_the_text_back(language: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "base")
    for row in Pictures(language=language, test=200).rows("test"):
        for text in (PROMPTS[language].format(question=row["question"]), row["answers"][0]):
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.unk_token_id not in ids
            assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_a_merge_sees_and_speaks_japanese_and_neither_parent_does_both() -> None:
    frame, processor = load_frame()
    rows = Pictures(test=60).rows("test")
    parents = {name: state for name, state in states() if name in NAMES}
    base, ja, vlm = (parents[name] for name in NAMES)
    found = {}
    for name, state in {**parents, "merge": task_arithmetic(base, [vlm, ja], BEST)}.items():
        frame.load_state_dict(state, strict=False)
        found[name] = score(frame, processor, rows)
    assert found["vlm"].both < 10
    assert found["ja"].same > 70
    assert found["merge"].both > max(found["vlm"].both, found["ja"].both) + 15


def test_the_vision_language_model_answers_english_questions_and_ends_by_itself() -> None:
    frame, processor = load_frame()
    rows = Pictures(language="en", test=40).rows("test")
    assert score(frame, processor, rows, language="en").both > 85
    assert all(text.endswith(".") for text in complete(frame, processor, rows, "en"))


def test_missing_folder_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run python -m evoforge\.zoo\.pictures\.build"):
        load("vlm", tmp_path)


def test_rouge_counts_the_longest_common_subsequence() -> None:
    # "ab d" has 3 characters, "acbd" 4, in common are 3: 2 * 3 / 7.
    assert rouge_l("ab d", "acbd") == pytest.approx(6 / 7)
    assert rouge_l("あか", "") == 0
