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
