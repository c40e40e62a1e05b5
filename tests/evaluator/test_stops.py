import time

import pytest

from evoforge.evaluator._stops import StopRule
from evoforge.task.request import Stops
from tests.conftest import pico_tokenizer


class Bytes:
    """A tokenizer whose tokens are bytes; 256 is special. As SentencePiece does, it drops the
    space that a text begins with."""

    def decode(self, tokens, *, skip_special_tokens):
        assert skip_special_tokens
        text = bytes(token for token in tokens if token < 256).decode(errors="replace")
        return text.removeprefix(" ")

    def encode(self, text):
        return list(text.encode())


@pytest.fixture(scope="module")
def tokenizer():
    return Bytes()


def ended(rule, tokenizer, text):
    """Return where an answer ends and why, asked after each token."""
    tokens = tokenizer.encode(text)
    for count in range(1, len(tokens) + 1):
        if reason := rule(tokens[:count]):
            return rule.cut(tokenizer.decode(tokens[:count], skip_special_tokens=True)), reason
    return rule.cut(text), None


@pytest.mark.parametrize(
    ("texts", "answer", "kept"),
    [
        (("END",), "one END two", "one "),
        (("\n",), "答えは18です。\n次は", "答えは18です。"),
        (("END", "DONE"), "a DONE b END", "a "),
        (("Instruction:", "Instruction"), "18\nInstruction: go", "18\n"),
        (("。",), "はい。いいえ", "はい"),
        (("### ",), "18\n### 問題", "18\n"),
        ((" x",), "a x b", "a"),
        (("END",), "ENDS", ""),
        (("aab",), "aaab", "a"),
        # One text inside another that begins earlier.
        (("b", "abc"), "xabc", "xa"),
    ],
)
def test_the_first_stop_text_ends_the_answer_and_is_cut_off(tokenizer, texts, answer, kept):
    assert ended(StopRule(Stops(texts), tokenizer), tokenizer, answer) == (kept, "stop")


@pytest.mark.parametrize(
    ("texts", "answer"), [(("END",), "EN D"), (("答え",), "答"), (("\n",), "a b"), ((), "END")]
)
def test_an_answer_without_a_stop_text_goes_on(tokenizer, texts, answer):
    assert ended(StopRule(Stops(texts), tokenizer), tokenizer, answer) == (answer, None)


def test_the_answer_is_over_with_the_last_byte_of_the_stop_text(tokenizer):
    rule = StopRule(Stops(("終",)), tokenizer)
    tokens = tokenizer.encode("まだ終")
    assert [rule(tokens[:count]) for count in range(1, 10)] == [None] * 8 + ["stop"]


def test_special_tokens_are_no_text(tokenizer):
    rule = StopRule(Stops(("END",)), tokenizer)
    assert rule([*tokenizer.encode("EN"), 256]) is None
    assert rule([*tokenizer.encode("EN"), 256, *tokenizer.encode("D")]) == "stop"


@pytest.mark.parametrize("period", [1, 2, 5, 48])
@pytest.mark.parametrize("times", [2, 4])
def test_a_cycle_ends_the_answer_once_it_came_so_many_times(tokenizer, period, times):
    rule = StopRule(Stops(repeats=times), tokenizer)
    cycle = list(range(period))
    tokens = [200, 201, *(cycle * 40)]
    first = next(count for count in range(1, len(tokens)) if rule(tokens[:count]) == "repeats")
    # Every cycle has 24 tokens at least: a few equal ones are nothing strange.
    assert first == 2 + max(times, -(-24 // period)) * period


@pytest.mark.parametrize(
    "tokens",
    [
        list(range(100)),
        [*range(49), *range(49), *range(49), *range(49)],  # longer than any that is looked for
        [7] * 23,
        [*range(10), *range(10), *range(9)],
        [1],
    ],
)
def test_what_is_no_cycle_goes_on(tokenizer, tokens):
    assert StopRule(Stops(repeats=2), tokenizer)(tokens) is None


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ("まず3個。答えは18です。次の", "まず3個。答えは18です。"),
        ("答えは18です！もう", "答えは18です！"),
        ("答えは18\n次", "答えは18\n"),
        # A point inside a number ends nothing, one before white space does.
        ("答えは3.14です。次", "答えは3.14です。"),
        ("答えは３．５です。次", "答えは３．５です。"),
        ("答えは 18. Next", "答えは 18."),
        # The end of the sentence before the phrase does not count.
        ("はい。答えは1です。次", "はい。答えは1です。"),
    ],
)
def test_the_sentence_with_the_phrase_is_the_last(tokenizer, answer, kept):
    rule = StopRule(Stops(phrase="答えは"), tokenizer)
    assert ended(rule, tokenizer, answer) == (kept, "phrase")


@pytest.mark.parametrize("answer", ["答えは18", "答えは18.", "はい。いいえ。", "答え。は"])
def test_without_the_phrase_or_its_end_the_answer_goes_on(tokenizer, answer):
    assert ended(StopRule(Stops(phrase="答えは"), tokenizer), tokenizer, answer) == (answer, None)


def test_a_phrase_may_hold_the_end_itself(tokenizer):
    rule = StopRule(Stops(phrase=r"#### \d+\n"), tokenizer)
    assert ended(rule, tokenizer, "so\n#### 18\nQ") == ("so\n#### 18\n", "phrase")


def test_all_rules_hold_together(tokenizer):
    rule = StopRule(Stops(("END",), 3, "答えは"), tokenizer)
    assert ended(rule, tokenizer, "ab END") == ("ab ", "stop")
    assert ended(rule, tokenizer, "答えは1。END") == ("答えは1。", "phrase")
    assert ended(rule, tokenizer, "ab" * 12) == ("ab" * 12, "repeats")


def test_a_rule_without_stops_never_ends_anything(tokenizer):
    rule = StopRule(Stops(), tokenizer)
    assert not rule.ever
    assert rule.cut("END。") == "END。"
    assert StopRule(Stops(repeats=2), tokenizer).ever


def test_transformers_tokenizers_can_be_asked():
    tokenizer = pico_tokenizer()
    rule = StopRule(Stops(("\n",), 4, "答"), tokenizer)
    tokens = tokenizer("ab\n", add_special_tokens=False)["input_ids"]
    assert [rule(tokens[:count]) for count in (1, 2, 3)] == [None, None, "stop"]


@pytest.mark.parametrize(
    ("stops", "limit"), [(Stops(repeats=4), 20), (Stops(("### ",), 4, "答えは"), 50)]
)
def test_asking_after_each_token_is_cheap(stops, limit):
    # Many times a token's own cost would be noticed; ten times the usual time is not.
    tokenizer = pico_tokenizer()
    rule = StopRule(stops, tokenizer)
    tokens = tokenizer("ab cd 12 = 3? " * 20, add_special_tokens=False)["input_ids"]
    tokens = [token + i % 3 for i, token in enumerate(tokens)]
    best = 1.0
    for _ in range(5):
        start = time.perf_counter()
        for count in range(1, len(tokens)):
            rule(tokens[:count])
        best = min(best, (time.perf_counter() - start) / len(tokens))
    assert best * 1e6 < 10 * limit


def test_a_special_token_is_a_stop_text_though_texts_do_not_show_it():
    tokenizer = pico_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_end|>"]})
    (end,) = tokenizer("<|im_end|>", add_special_tokens=False)["input_ids"]
    rule = StopRule(Stops(("<|im_end|>",)), tokenizer)
    tokens = tokenizer("1+1=", add_special_tokens=False)["input_ids"]
    assert rule(tokens) is None
    assert rule([*tokens, end]) == "stop"
    assert StopRule(Stops(("end",)), tokenizer)([*tokens, end]) is None
