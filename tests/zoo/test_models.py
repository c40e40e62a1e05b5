"""The bundled folders: complete, small, loadable, and as good and bad as they should be."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, MistralForCausalLM

from evoforge.errors import ConfigError
from evoforge.zoo.check import FOLDER, SOURCES, load, scores
from evoforge.zoo.problems import PROMPTS, Problems
from evoforge.zoo.scoring import complete, final_number, japanese_probability

NAMES = ("base", *SOURCES)
TOTAL_BYTES = 15_000_000


@pytest.mark.parametrize("name", NAMES)
def test_folders_load_with_the_auto_classes(name: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(FOLDER / name)
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / name)
    assert isinstance(model, MistralForCausalLM)
    assert model.dtype == torch.bfloat16
    assert model.config.vocab_size == len(tokenizer)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_all_share_one_architecture_and_tokenizer() -> None:
    configs = [json.loads((FOLDER / name / "config.json").read_text()) for name in NAMES]
    assert all(config == configs[0] for config in configs)
    vocabularies = [Tokenizer.from_file(str(FOLDER / n / "tokenizer.json")) for n in NAMES]
    assert all(v.to_str() == vocabularies[0].to_str() for v in vocabularies)


def test_folders_stay_small() -> None:
    files = [path for name in NAMES for path in (FOLDER / name).rglob("*")]
    assert sum(path.stat().st_size for path in files) < TOTAL_BYTES


@pytest.mark.parametrize("language", ["en", "ja"])
def test_tokenizer_gives_the_text_back(language: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "base")
    for row in Problems(language=language, test=300).rows("test"):
        for text in (PROMPTS[language].format(question=row["question"]), row["solution"]):
            ids = tokenizer(text)["input_ids"]
            assert ids[0] == tokenizer.bos_token_id
            assert tokenizer.unk_token_id not in ids
            assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_every_digit_is_a_token() -> None:
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "base")
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("りんごが57個、61 + 3 = 64")["input_ids"])
    assert [token for token in tokens if token.isdigit()] == list("5761364")


def test_answers_end_by_themselves() -> None:
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "ja")
    rows = Problems(test=8).rows("test")
    prompts = [PROMPTS["ja"].format(question=row["question"]) for row in rows]
    texts = complete(load("ja"), tokenizer, prompts)
    assert all(text.startswith("計算すると") and text.endswith("です。") for text in texts)


def test_sources_are_complementary_and_plain_merges_leave_room() -> None:
    found = dict(scores(150))
    assert 15 <= found["ja"].both <= 40
    for name in ("math_a", "math_b"):
        assert found[name].both < 5
        assert found[name].number >= 50
    assert found["TIES, weights 1, density 0.5"].both < 10
    assert 40 <= found["uniform soup"].both <= 65


def test_missing_folder_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run python -m evoforge\.zoo\.build"):
        load("base", tmp_path)


def test_final_number_and_language() -> None:
    assert final_number("計算すると 3 + 4 = 7 です。答えは 12 です。") == 12
    assert final_number("わかりません。") is None
    assert japanese_probability("答えは 7 です。\n") > 0.5
    assert japanese_probability(" We compute 3 + 4 = 7. The answer is 7.") < 0.5
