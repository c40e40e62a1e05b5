import json
import os
import random
from functools import cache
from pathlib import Path
from statistics import fmean

import pytest

from evoforge.errors import ConfigError
from evoforge.task.japanese import normalise
from evoforge.task.rouge import common_length, rouge_l, rouge_n, tokenize

DATA = Path(os.environ.get("EVOFORGE_DATA_DIR", "nowhere")) / "jnli" / "valid.jsonl"
needs_data = pytest.mark.skipif(
    not DATA.is_file(), reason="EVOFORGE_DATA_DIR names no folder with jnli/valid.jsonl"
)


@cache
def pairs():
    lines = DATA.read_text("utf-8").splitlines()
    return [(row["context"], row["question"]) for row in map(json.loads, lines)]


@pytest.mark.parametrize(
    ("first", "second", "length"),
    [("abcbdab", "bdcaba", 4), ("abc", "abc", 3), ("abc", "xyz", 0), ("", "a", 0), ("a", "", 0)],
)
def test_the_longest_common_subsequence(first, second, length):
    assert common_length(first, second) == common_length(second, first) == length


def test_rouge_by_hand():
    # abcd and abd share a, b, d: 3 of 3 and 3 of 4; of pairs ab alone: 1 of 2 and 1 of 3.
    assert rouge_l("abcd", "abd") == pytest.approx(6 / 7)
    assert rouge_n("abcd", "abd", 1) == pytest.approx(6 / 7)
    assert rouge_n("abcd", "abd", 2) == pytest.approx(2 / 5)


def test_pairs_count_as_often_as_both_have_them():
    # aa three times in aaaa, once in aa: 1 of 1 and 1 of 3.
    assert rouge_n("aaaa", "aa", 2) == pytest.approx(1 / 2)


@pytest.mark.parametrize(("gold", "text"), [("", ""), ("a", ""), ("", "a"), ("a", "a")])
def test_texts_without_a_pair_have_no_rouge_2(gold, text):
    assert rouge_n(gold, text, 2) == 0


def test_characters_are_counted_without_white_space():
    assert tokenize("char")(" 東京 \nです") == "東京です"


def test_unknown_tokens_answer_with_the_choices():
    with pytest.raises(ConfigError, match=r"one of char, mecab, model, got bpe; set task\.tokens"):
        tokenize("bpe")


@pytest.mark.parametrize("seed", range(20))
def test_both_agree_with_rouge_score(seed):
    rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")

    class Characters:
        def tokenize(self, text):
            return list(text)

    generator = random.Random(seed)
    gold, text = ("".join(generator.choices("abcd", k=generator.randrange(30))) for _ in range(2))
    found = rouge_scorer.RougeScorer(["rouge2", "rougeL"], tokenizer=Characters()).score(gold, text)
    assert rouge_l(gold, text) == pytest.approx(found["rougeL"].fmeasure)
    assert rouge_n(gold, text, 2) == pytest.approx(found["rouge2"].fmeasure)


@needs_data
def test_words_of_the_real_pairs_agree_with_rouge_score():
    rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")
    pytest.importorskip("fugashi")
    words = tokenize("mecab")

    class Words:
        tokenize = staticmethod(words)

    scorer = rouge_scorer.RougeScorer(["rouge2", "rougeL"], tokenizer=Words())
    for gold, text in pairs()[:100]:
        found = scorer.score(gold, text)
        assert rouge_l(words(gold), words(text)) == pytest.approx(found["rougeL"].fmeasure)
        assert rouge_n(words(gold), words(text), 2) == pytest.approx(found["rouge2"].fmeasure)


@needs_data
def test_the_golden_figure_of_words():
    # Sakana's metric over all 2,434 pairs, by the published code: 57.97.
    pytest.importorskip("fugashi")
    words = tokenize("mecab")
    scores = [rouge_l(words(gold), words(text)) for gold, text in pairs()]
    assert round(100 * fmean(scores), 2) == 57.97


@needs_data
def test_the_golden_figure_of_characters():
    pytest.importorskip("neologdn")
    in_form = [(normalise(gold), normalise(text)) for gold, text in pairs()]
    assert round(100 * fmean(rouge_l(*pair) for pair in in_form), 2) == 58.68
