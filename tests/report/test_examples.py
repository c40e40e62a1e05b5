import re
from html.parser import HTMLParser
from io import BytesIO

import pytest
from PIL import Image

from evoforge.record import Example
from evoforge.report.card import card
from evoforge.report.examples import LONGEST_ANSWER, cut, page, write
from evoforge.report.result import build
from evoforge.report.table import summary
from evoforge.showcase import Answer, Shown
from tests.report.conftest import recipe_of


def png(width, height):
    out = BytesIO()
    Image.new("RGB", (width, height), "red").save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def run(complete):
    """A finished run that has kept two of its test items."""
    complete.journal.add_examples(
        [
            Example("test-0", "何色ですか。", ("赤です。", "紅です。"), png(32, 32)),
            Example("test-1", "では?", ("青です。",), png(200, 100)),
        ]
    )
    return complete


class Reader(HTMLParser):
    """The tags of a page in order, and whether each that opens is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(text):
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def test_the_page_has_every_example_with_its_picture_and_all_answers(run):
    path = write(run.record, build(run.record))
    assert path == run.record.folder / "examples.html"
    found = read(path.read_text("utf-8"))
    articles = [attributes["id"] for tag, attributes in found.tags if tag == "article"]
    assert articles == ["test-0", "test-1"]
    pictures = [attributes for tag, attributes in found.tags if tag == "img"]
    assert all(each["src"].startswith("data:image/png;base64,") for each in pictures)
    # The small one is drawn larger.
    assert [each.get("class") for each in pictures] == ["small", None]
    for wanted in ("何色ですか。", "赤です。 / 紅です。", "2 of 40 test items", "acc_ja, percent"):
        assert wanted in found.text
    for model in ("ja", "math_a", "math_b", "winner"):
        assert found.text.count(model) >= 2


def test_the_page_asks_nothing_of_the_network(run):
    text = write(run.record, build(run.record)).read_text("utf-8")
    assert not re.findall(r"https?:|<script|<link|@import", text)


def test_a_run_without_examples_has_no_page(complete):
    assert write(complete.record, build(complete.record)) is None
    assert "## Examples" not in card(complete.record, build(complete.record))


def one(*answers, question="q", item="i"):
    return Shown(Example(item, question, ("gold",)), answers)


def test_scores_are_in_percent_and_the_wrong_language_is_said(complete):
    result = build(complete.record)
    answers = (Answer("ja", "赤", 0.25, True), Answer("winner", "red", 0.0, False))
    text = page([one(*answers)], result)
    assert '<td class="score ">25.0</td>' in text
    assert '<td class="score bad">0.0</td>' in text
    assert text.count("wrong language") == 1
    assert '<tr class="winner"><th>winner</th><td>red<small>wrong language</small>' in text


def test_texts_are_shown_in_the_glyphs_of_the_wanted_language(complete):
    result = build(complete.record)
    result["protocol"] = {**result["protocol"], "language": {"code": "ja"}}
    assert '<td lang="ja">直</td>' in page([one(Answer("winner", "直", 1.0))], result)


def test_what_models_and_users_write_cannot_break_the_page(complete):
    result = build(complete.record)
    evil = '<script>alert(1)</script>"&'
    result["protocol"] = {**result["protocol"], "name": evil, "language": {"code": evil}}
    found = read(page([one(Answer(evil, evil, 1.0), question=evil, item=evil)], result))
    assert "script" not in {tag for tag, _ in found.tags}
    assert found.text.count(evil) >= 4


def test_a_failure_and_an_empty_answer_are_told_apart(complete):
    text = page([one(Answer("ja", "", None), Answer("winner", " ", 0.0))], build(complete.record))
    assert "failed" in text
    assert "(nothing)" in text


def test_a_long_answer_loses_its_end(complete):
    text = page([one(Answer("winner", "あ" * 500, 1.0))], build(complete.record))
    assert f"<td>{'あ' * (LONGEST_ANSWER - 1)}…</td>" in text
    assert cut("  abc  ", 3) == "abc"
    assert cut("abcd ef", 6) == "abcd…"


def test_where_lower_is_better_scores_have_no_colour(complete):
    result = build(complete.record)
    for stage in result["stages"].values():
        stage["direction"] = "min"
    text = page([one(Answer("winner", "a", 0.9))], result)
    assert '<td class="score ">0.900</td>' in text
    assert "lower is better" in text


def test_the_card_has_the_first_examples(run):
    text = card(run.record, build(run.record))
    assert "<summary>2 examples</summary>" in text
    assert "**1.** 何色ですか。 (about a picture)" in text
    assert "| reference | 赤です。 / 紅です。 |  |" in text
    assert re.search(r"\| winner \| 答え: 4 \| (100|0)\.0 \|", text)


def test_the_terminal_says_where_the_examples_are(run):
    shown_parts = summary(run.record, build(run.record)).renderables
    assert any("examples.html" in str(part) for part in shown_parts)


def test_examples_of_a_graded_score_are_tested_by_permutation(new_run):
    run = new_run()
    rouge = {"base": [0.1, 0.0, 0.3, 0.2], "ja": [0.0, 0.0, 0.0, 1.0]}
    for name, scores in rouge.items():
        run.test(f"baseline:{name}", recipe_of({}, name=name), scores)
    run.test("winner", recipe_of({"all": {}}), [0.5, 1.0, 0.75, 0.9])
    result = build(run.record)
    assert {p["test"] for p in result["paired"].values()} == {"paired permutation test"}
    assert result["winner"]["test"]["score"] == pytest.approx(0.7875)
