import json
import shutil

import pytest

from evoforge.errors import PoolError
from evoforge.models.tokenizer import difference, load_tokenizer
from tests.conftest import pico_tokenizer


@pytest.fixture
def rewritten(bare, tmp_path):
    """Return a maker of tokenizers whose file was changed by a function."""

    def make(change):
        folder = tmp_path / "rewritten"
        shutil.copytree(bare, folder)
        path = folder / "tokenizer.json"
        content = json.loads(path.read_text())
        change(content["model"]["vocab"])
        path.write_text(json.dumps(content))
        return load_tokenizer(folder)

    return make


def test_a_loaded_tokenizer_reads_what_was_saved(bare):
    found = load_tokenizer(bare)
    assert found.decode(found("12+3=")["input_ids"]) == "12+3="


def test_a_folder_without_tokenizer_is_named(bare, tmp_path):
    shutil.copy(bare / "config.json", tmp_path)
    with pytest.raises(PoolError, match=rf"{tmp_path} has no usable tokenizer \(.+\); copy the"):
        load_tokenizer(tmp_path)


def test_equal_tokenizers_do_not_differ():
    assert difference(pico_tokenizer(), pico_tokenizer()) is None


def test_the_first_differing_token_is_named(rewritten):
    def swap(vocabulary):
        vocabulary["1"], vocabulary["2"] = vocabulary["2"], vocabulary["1"]

    # Three special tokens and "0" come before "1".
    assert difference(pico_tokenizer(), rewritten(swap)) == "token 4 is '1' against '2'"


def test_a_missing_token_is_named(rewritten):
    found = difference(pico_tokenizer(), rewritten(lambda vocabulary: vocabulary.pop("9")))
    assert found == "token 12 is '9' against None"


def test_tokens_beyond_are_counted(rewritten):
    count = len(pico_tokenizer())
    longer = rewritten(lambda vocabulary: vocabulary.update(ä=count))
    assert difference(pico_tokenizer(), longer) == f"{count} tokens against {count + 1}"


@pytest.mark.parametrize("kind", ["bos_token", "eos_token", "pad_token"])
def test_another_special_token_is_named(kind):
    other = pico_tokenizer()
    setattr(other, kind, "=")
    mine = getattr(pico_tokenizer(), kind)
    assert difference(pico_tokenizer(), other) == f"{kind} is {mine!r} against '='"


def test_a_special_token_that_one_has_not_is_named():
    other = pico_tokenizer()
    other.unk_token = "="
    assert difference(pico_tokenizer(), other) == "unk_token is None against '='"


def test_chat_templates_may_differ():
    other = pico_tokenizer()
    other.chat_template = "{{ messages }}"
    assert difference(pico_tokenizer(), other) is None
