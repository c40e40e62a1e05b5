import re
import sys

import pytest

from evoforge.errors import ConfigError
from evoforge.task import japanese
from evoforge.task.japanese import normalise, words
from evoforge.task.judges import ExactMatch, Rouge

pytest.importorskip("neologdn")
pytest.importorskip("fugashi")


@pytest.fixture
def fresh():
    """Forget the loaded packages before and after the test."""
    for loaded in (japanese._packages, japanese._tagger):
        loaded.cache_clear()
    yield
    for loaded in (japanese._packages, japanese._tagger):
        loaded.cache_clear()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("東京", "東京"),
        ("　東京　\n", "東京"),
        ("ＡＢＣ１２３", "ABC123"),
        ("ﾊﾝｶｸ", "ハンカク"),
        ("東京😀です🇯🇵", "東京です"),
        ("✂切る", "切る"),
        ("two  words\nhere", "two words here"),
        ("検索 エンジン", "検索エンジン"),
        ("スーーーパー", "スーパー"),
        ("", ""),
    ],
)
def test_texts_come_into_one_form(text, wanted):
    assert normalise(text) == wanted


def test_words_are_mecabs():
    assert words("屋根の上に看板があり時計もついています。") == [
        *(
            "屋根",
            "の",
            "上",
            "に",
            "看板",
            "が",
            "あり",
            "時計",
            "も",
            "つい",
            "て",
            "い",
            "ます",
            "。",
        )
    ]
    assert words("") == []


@pytest.mark.parametrize(
    "text",
    [
        "犬😀がいます🇯🇵。",
        "☀️晴れ  です\n✂️ ❤ ✈→",
        "ﾈｺとＣａｔが２匹います！！",
        "スーーーパーの〜〜前で、 人が 歩く",
        "👨‍👩‍👧と①②㈱㎞",
        "",
    ],
)
def test_words_are_those_of_the_published_metric(text):
    # Emoji go by the library and by code points, neologdn, white space, MeCab's words.
    import emoji
    import fugashi
    import neologdn

    ranges = "\U0001f600-\U0001f64f\U0001f300-\U0001f5ff\U0001f680-\U0001f6ff"
    plain = re.sub(
        f"[{ranges}\U0001f1e0-\U0001f1ff\U00002702-\U000027b0]+",
        "",
        "".join("" if emoji.is_emoji(character) else character for character in text),
    )
    folded = " ".join(neologdn.normalize(plain).split())
    assert words(text) == fugashi.Tagger("-Owakati").parse(folded).split()


@pytest.mark.parametrize("package", ["emoji", "neologdn"])
def test_a_missing_package_names_the_extra(fresh, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"{package}.*pip install 'evoforge\[ja\]'"):
        ExactMatch("ja")


@pytest.mark.parametrize("package", ["fugashi", "unidic_lite"])
def test_a_missing_tagger_names_the_extra(fresh, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"mecab.*{package}.*pip install 'evoforge\[ja\]'"):
        Rouge("rougel", "mecab")


def test_the_plain_form_needs_no_package(fresh, monkeypatch):
    for package in ("emoji", "neologdn", "fugashi", "unidic_lite"):
        monkeypatch.setitem(sys.modules, package, None)
    assert ExactMatch("robust")
    assert Rouge("rougel", "char")
