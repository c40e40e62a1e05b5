import sqlite3
from io import BytesIO

import pytest
from PIL import Image

from evoforge.journal import Journal
from evoforge.recipe import Recipe, canonical
from evoforge.record import Evaluation, Example, ItemResult, Record, item_set_hash
from evoforge.showcase import Answer, examples, gold, questions, shown, thumbnail
from evoforge.task.base import Item
from evoforge.task.picture import Picture

KEPT = [Example("t-0", "何色？", ("赤です。",), b"png"), Example("t-1", "2+2=", ("4", "four"))]


@pytest.fixture
def journal(tmp_path):
    made = Journal.create(
        tmp_path / "run", {"sources": canonical([{"name": "ja"}, {"name": "vlm"}])}
    )
    yield made
    made.close()


def answer(journal, name, texts, *, metrics, part="test"):
    """Give a named recipe answers to the first items, or none at all: a failure."""
    recipe = Recipe({"method": "ties", "name": name})
    results = tuple(
        ItemResult(f"t-{i}", 0.5, metrics, text, 3) for i, text in enumerate(texts or ())
    )
    items = [f"t-{i}" for i in range(2)]
    found = Evaluation(
        recipe=recipe.hash,
        protocol="p",
        item_set=item_set_hash(items),
        status="ok" if texts else "failed",
        fitness=0.5,
        reason="" if texts else "NaN",
        results=results,
    )
    with journal.transaction():
        journal.add_recipe(recipe)
        journal.add_items(part, items)
        journal.add_role(name, part, recipe.hash, journal.add_evaluation(found))


def png(width, height, mode="RGB"):
    out = BytesIO()
    Image.new(mode, (width, height), 7).save(out, "PNG")
    return out.getvalue()


def test_what_was_kept_is_read_back_and_kept_once(journal):
    assert journal.record.examples() == ()
    journal.add_examples(KEPT)
    journal.add_examples([Example("t-9", "another")])
    assert journal.record.examples() == tuple(KEPT)


def test_a_journal_of_before_there_were_examples_is_read_and_goes_on(journal):
    folder = journal.folder
    journal.close()
    with sqlite3.connect(folder / "journal.sqlite") as connection:
        assert ("examples",) not in connection.execute("SELECT name FROM sqlite_master").fetchall()
    record = Record.open(folder)
    assert record.examples() == ()
    record.close()
    again = Journal.resume(folder)
    again.add_examples(KEPT)
    assert len(again.record.examples()) == 2
    again.close()


def test_sources_answer_in_their_order_and_the_winner_last(journal):
    journal.add_examples(KEPT)
    answer(journal, "winner", ["赤です。", "4"], metrics={"lang": 1.0})
    answer(journal, "baseline:vlm", ["red.", "5"], metrics={"lang": 0.0})
    answer(journal, "baseline:ja", ["青です。", "6"], metrics={"lang": 1.0})
    answer(journal, "baseline:uniform_soup", ["-", "-"], metrics={"lang": 1.0})
    first, second = shown(journal.record)
    assert first.example == KEPT[0]
    assert first.answers == (
        Answer("ja", "青です。", 0.5, speaks=True),
        Answer("vlm", "red.", 0.5, speaks=False),
        Answer("winner", "赤です。", 0.5, speaks=True),
    )
    assert [each.text for each in second.answers] == ["6", "5", "4"]


def test_a_model_that_failed_has_no_answers_and_no_language_is_none(journal):
    journal.add_examples(KEPT)
    answer(journal, "baseline:ja", None, metrics={})
    answer(journal, "winner", ["赤です。", "4"], metrics={"acc": 0.5})
    first, _ = shown(journal.record)
    assert first.answers == (Answer("ja", "", None), Answer("winner", "赤です。", 0.5, None))


def test_nothing_is_shown_before_the_winner_was_tested(journal):
    journal.add_examples(KEPT)
    answer(journal, "winner", ["a", "b"], metrics={}, part="select")
    assert shown(journal.record) == []


@pytest.mark.parametrize(
    ("item", "texts"),
    [
        (Item("i", "q", answers=("赤", "紅")), ("赤", "紅")),
        (Item("i", "q", answer_number=70000.0), ("70000",)),
        (Item("i", "q", answer_number=0.75), ("0.75",)),
        (Item("i", "q", choices=("yes", "no"), label=1), ("no",)),
    ],
)
def test_gold_answers_are_texts(item, texts):
    assert gold(item) == texts


def test_questions_are_kept_with_what_would_be_right():
    items = [Item("i", "1+1=", answer_number=2.0), Item("j", "?", answers=("a", "b"))]
    assert questions(items) == {"i": ["1+1=", ["2"]], "j": ["?", ["a", "b"]]}


@pytest.mark.parametrize(
    ("size", "small"), [((1024, 512), (256, 128)), ((32, 32), (32, 32)), ((9, 900), (3, 256))]
)
def test_a_picture_is_kept_small_and_is_never_made_larger(size, small):
    kept = thumbnail(Picture.of(png(*size), "here"))
    with Image.open(BytesIO(kept)) as image:
        assert (image.size, image.mode, image.format) == (small, "RGB", "PNG")


def test_a_picture_keeps_its_colours_and_loses_where_it_was_taken():
    out = BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    Image.new("RGB", (4, 4), (10, 200, 30)).save(out, "PNG", exif=exif)
    assert b"a camera" in out.getvalue()
    kept = thumbnail(Picture.of(out.getvalue(), "here"))
    assert b"a camera" not in kept
    with Image.open(BytesIO(kept)) as image:
        assert image.getpixel((2, 2)) == (10, 200, 30)


def test_a_picture_that_does_not_decode_is_kept_as_none():
    whole = png(64, 64)
    damaged = Picture.of(whole[: len(whole) - 30], "here")
    (kept,) = examples([Item("i", "q", ("a",), picture=damaged)])
    assert kept == Example("i", "q", ("a",), None)
