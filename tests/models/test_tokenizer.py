import json
import shutil

import pytest

from evoforge.errors import PoolError
from evoforge.models.tokenizer import cut, difference, extend, load_tokenizer
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


def pieces(text, size, *, spaces=False):
    """Return a tokenizer of byte pairs; with `spaces` it writes them as sentencepiece does."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<unk>", "<s>", "</s>"]
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    if spaces:
        made.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    else:
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    made.train_from_iterator([text] * 9, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def joined(first, *others):
    """Return the vocabulary of all: the first one's ids, then what the others have beyond."""
    wanted = dict(first.get_vocab())
    for other in others:
        vocabulary = other.get_vocab()
        for token in sorted(vocabulary, key=vocabulary.get):
            wanted.setdefault(token, len(wanted))
    return wanted


def saved(tokenizer, folder):
    tokenizer.save_pretrained(folder)
    return load_tokenizer(folder)


@pytest.mark.parametrize("spaces", [False, True])
def test_an_extended_tokenizer_has_the_tokens_of_all_and_stays_so(tmp_path, spaces):
    mine = pieces("the cat sat on the mat", 40, spaces=spaces)
    other = pieces("zebras quiz the quick vixens", 50, spaces=spaces)
    other.add_special_tokens({"additional_special_tokens": ["<turn>"]})
    wanted = joined(mine, other)
    extend(mine, [other], wanted, "a")
    again = saved(mine, tmp_path)
    assert mine.get_vocab() == again.get_vocab() == wanted
    text = "the zebra<turn>"
    assert again(text)["input_ids"] == mine(text)["input_ids"]
    assert wanted["<turn>"] in mine(text)["input_ids"]
    # A special token of the other one is one here too.
    found = again.decode(again(text)["input_ids"], skip_special_tokens=True)
    assert found.replace(" ", "") == "thezebra"


@pytest.mark.parametrize("spaces", [False, True])
def test_spaces_after_added_tokens_are_told(caplog, spaces):
    mine, other = (pieces(text, 60, spaces=spaces) for text in ("the cat", "the zebra"))
    extend(mine, [other], joined(mine, other), "a")
    text = "a zebracat"
    told = "of a puts a space before each stretch of text" in caplog.text
    kept = mine.decode(mine(text)["input_ids"]).strip() == text
    assert (told, kept) == (spaces, not spaces)


def test_added_pieces_with_a_space_in_front_are_not_found_in_other_places():
    mine, other = (pieces(text, 60, spaces=True) for text in ("ab ab", "cd cd"))
    assert "▁cd" in other.get_vocab()
    extend(mine, [other], joined(mine, other), "a")
    # As a piece of normalised text ▁cd would become ▁▁cd, and c a ▁c.
    assert "▁cd" not in mine.tokenize("cd")
    assert "".join(mine.tokenize("abcd")).replace("▁", "") == "abcd"


def test_a_tokenizer_that_gives_other_ids_is_refused():
    mine = pieces("the cat", 30)
    wanted = {**mine.get_vocab(), "new": 99}
    other = pieces("the cat", 30)
    other.add_tokens(["new"])
    with pytest.raises(PoolError, match=r"of a does not take the tokens .*set models\.tokenizer"):
        extend(mine, [other], wanted, "a")


def test_a_tokenizer_that_takes_no_tokens_is_refused(monkeypatch):
    mine, other = pieces("the cat", 30), pieces("the dog", 30)

    def refuse(tokens):
        raise NotImplementedError("bytes only")

    monkeypatch.setattr(mine, "add_tokens", refuse)
    with pytest.raises(PoolError, match=r"of a takes no more tokens \(bytes only\); set models"):
        extend(mine, [other], joined(mine, other), "a")


@pytest.mark.parametrize("spaces", [False, True])
def test_a_cut_tokenizer_has_no_token_beyond_and_writes_what_it_can(tmp_path, spaces):
    text = "the cat sat on the mat"
    whole = saved(pieces(text, 40, spaces=spaces), tmp_path)
    # The last pieces are the longest; with fewer the same text takes more of them.
    found = cut(whole, len(whole) - 6, "a")
    assert found.get_vocab() == {t: i for t, i in whole.get_vocab().items() if i < len(whole) - 6}
    assert len(found(text)["input_ids"]) > len(whole(text)["input_ids"])
    assert found.decode(found(text)["input_ids"]).strip() == text
    assert len(whole) == len(load_tokenizer(tmp_path))


def test_a_unigram_tokenizer_is_cut_too():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    table = [("<unk>", 0.0), ("a", -1.0), ("b", -2.0), ("ab", -0.5)]
    made = Tokenizer(models.Unigram(table, unk_id=0))
    whole = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>")
    assert whole.tokenize("ab") == ["ab"]
    assert cut(whole, 3, "a").tokenize("ab") == ["a", "b"]


def test_a_tokenizer_without_tokens_beyond_is_not_cut():
    whole = pico_tokenizer()
    assert cut(whole, len(whole), "a") is whole


def test_a_tokenizer_without_a_table_cannot_be_cut():
    from transformers import ByT5Tokenizer

    with pytest.raises(PoolError, match="the tokenizer of a cannot be cut to 200 tokens; set"):
        cut(ByT5Tokenizer(), 200, "a")
