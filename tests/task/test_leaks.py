import time

import pytest

from evoforge.errors import ConfigError
from evoforge.task.leaks import asked, check_disjoint, normalized, shared
from evoforge.task.picture import Picture
from tests.task.conftest import png


def row(name, question, **more):
    return {"id": name, "question": question, **more}


def parts(**rows):
    return {part: [asked(each) for each in found] for part, found in rows.items()}


def both(first, second):
    return [(a.id, b.id) for a, b in shared([asked(first)], [asked(second)])]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("Ａ b\tC", "abc"), ("ｶﾞ", "ガ"), ("１２　３", "123"), ("Straße", "strasse"), ("が", "が")],
)
def test_normalized_texts_have_one_width_and_case_and_no_spaces(text, wanted):
    assert normalized(text) == wanted


def test_one_question_with_another_passage_or_other_choices_is_another_item():
    assert not both(row("a", "どれ?", context="x"), row("b", "どれ?", context="y"))
    assert not both(row("a", "どれ?", choices=["1", "2"]), row("b", "どれ?", choices=["1", "3"]))


def test_choices_in_another_order_are_the_same():
    assert both(row("a", "どれ?", choices=["1", "2"]), row("b", "どれ？", choices=["2", "１"]))


def test_a_question_without_passage_or_choices_is_the_same_as_one_with():
    assert both(row("a", "q"), row("b", "q", context="y", choices=["1", "2"]))


@pytest.mark.parametrize("field", ["context", "choices"])
def test_one_question_about_thousands_of_texts_takes_no_time(field):
    def rows(part):
        texts = (f"{part} {i}" for i in range(3000))
        return [
            asked(row(text, "q", **{field: [text, "x"] if field == "choices" else text}))
            for text in texts
        ]

    started = time.perf_counter()
    assert not shared(rows("a"), rows("b"))
    assert len(shared(rows("a"), rows("a"))) == 3000
    assert time.perf_counter() - started < 5  # all with all would be 18 million pairs


def test_the_text_that_a_question_was_translated_from_counts_too():
    assert both(row("a", "一たす一は?", question_en="1 plus 1?"), row("b", "1 plus 1?"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (row("gsm8k-test-0007", "x"), row("mgsm_ja-test-0007", "y")),
        (row("mgsm_en-test-0007", "x"), row("mgsm_ja-test-0007", "y", gsm8k_index=7)),
        (row("math/gsm8k-test-0007", "x"), row("mgsm_de-test-0007", "y")),
        (row("gsm8k-train-12", "x"), row("gsm8k_ja-train-0011", "y", gsm8k_index=12)),
        (row("mine-1", "x", known="gsm8k/test/3"), row("mgsm_fr-test-0003", "y")),
        (row("mine-1", "x", known=["a", "b"]), row("mine-2", "y", known=["b", "c"])),
    ],
)
def test_problems_known_by_one_name_are_the_same_in_every_language(first, second):
    assert both(first, second) == [(first["id"], second["id"])]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (row("gsm8k-test-0007", "x"), row("mgsm_ja-test-0070", "y")),
        (row("gsm8k-train-0007", "x"), row("mgsm_ja-test-0007", "y")),
        (row("gsm8k-test-0000", "x"), row("mgsm_ja-fewshot-0", "y", gsm8k_index=-1)),
    ],
)
def test_other_rows_and_splits_are_other_problems(first, second):
    assert not both(first, second)


def test_parts_without_a_common_item_are_welcome():
    check_disjoint(parts(search=[row("a", "x")], select=[row("b", "y")], test=[row("c", "z")]))


def test_up_to_five_items_of_each_side_are_named():
    first = [row(f"a{i}", f"q{i}") for i in range(7)]
    second = [row(f"b{i}", f"q{i}") for i in range(7)]
    with pytest.raises(
        ConfigError,
        match="b0, b1, b2, b3, b4 and 2 more of the test part ask the same as a0, a1, a2, a3, a4 "
        "and 2 more of the search part; .*: set task.items.search or task.items.test",
    ):
        check_disjoint(parts(search=first, select=[row("c", "z")], test=second))


def test_the_known_name_is_told_where_texts_do_not_tell():
    first, second = row("gsm8k-test-0000", "Janet"), row("mgsm_ja-test-0000", "ジャネット")
    with pytest.raises(ConfigError, match=r"mgsm_ja-test-0000 of .* \(gsm8k/test/0\); search, sel"):
        check_disjoint(parts(search=[first], test=[second]))


def pictured(name, question, colour, **more):
    return row(name, question, image=Picture.of(png(colour), name), **more)


def test_one_picture_is_the_same_whatever_is_asked():
    assert both(pictured("a", "x", "red"), pictured("b", "y", "red")) == [("a", "b")]


def test_one_question_about_other_pictures_is_another_item():
    assert not both(pictured("a", "x", "red"), pictured("b", "x", "blue"))
    assert not both(pictured("a", "x", "red"), row("b", "x"))
    assert not both(row("a", "x"), pictured("b", "x", "red"))


def test_pictures_known_by_one_name_are_the_same_whatever_their_bytes():
    first, second = (pictured(c, "x", c, known=["visual_genome/7"]) for c in ("red", "blue"))
    assert both(first, second) == [("red", "blue")]
    with pytest.raises(ConfigError, match=r"blue of .* asks the same as red .*\(visual_genome/7\)"):
        check_disjoint(parts(search=[first], test=[second]))


def test_shared_pictures_are_told_as_such():
    first = [pictured(f"a{i}", "x", c) for i, c in enumerate(("red", "blue"))]
    second = [pictured(f"b{i}", "y", c) for i, c in enumerate(("red", "blue"))]
    with pytest.raises(
        ConfigError,
        match="b0, b1 of the test part show the same picture as a0, a1 of the search part; search",
    ):
        check_disjoint(parts(search=first, test=second))
