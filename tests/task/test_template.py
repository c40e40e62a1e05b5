import pytest

from evoforge.errors import ConfigError
from evoforge.task.base import Item
from evoforge.task.template import GIVEAWAYS, Template, fields, plain

ITEM = Item(
    "x",
    "Which?",
    answers=("b", "B"),
    answer_number=70000.0,
    choices=("a", "b"),
    label=1,
    fields={"title": "T", "passages": ["one", "two"], "context": "T [SEP] U [SEP] the text"},
)


def filled(text, **values):
    return Template(text, "prompt").fill({**fields(ITEM), **values})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{title}: {question}", "T: Which?"),
        ("{answer} {answers}", "b b\nB"),
        ("{answer_number}", "70000"),
        ("{label}", "1"),
        ("{passages}", "one\ntwo"),
        ("{choices}", "a\nb"),
        ("{choices:lines}", "a\nb"),
        ("{choices:comma}", "a, b"),
        ("{choices:dashes}", "- a\n- b"),
        ("{choices:digits}", "0.a,1.b"),
        ("{choices:numbers}", "1. a\n2. b"),
        ("{choices:letters}", "A. a\nB. b"),
        ("{context:after_sep}", "the text"),
        ("{title:after_sep}", "T"),
        ("{} { title } {0} {title", "{} { title } {0} {title"),
    ],
)
def test_fields_take_their_places(text, wanted):
    assert filled(text) == wanted


def test_what_a_field_holds_is_not_looked_into():
    assert filled("{question} {title}", question="{title}") == "{title} T"


@pytest.mark.parametrize(
    ("number", "text"),
    [(3.0, "3"), (-2.0, "-2"), (0.5, "0.5"), (1e6, "1000000"), (1e16, "10000000000000000")],
)
def test_numbers_are_written_as_people_write_them(number, text):
    assert plain(number) == text


def test_the_answer_of_an_item_with_a_number_alone_is_the_number():
    assert fields(Item("x", "?", answer_number=2.0))["answer"] == "2"


def test_an_unknown_layout_answers_with_the_layouts():
    with pytest.raises(
        ConfigError, match=r"one of lines, comma, .*, after_sep, got list; set task"
    ):
        Template("{choices:list}", "prompt")


def test_a_secret_name_is_refused():
    with pytest.raises(ConfigError, match=r"names \{answer\}, which gives the answer away; set ta"):
        Template("{question} {answer}", "prompt", secret=GIVEAWAYS)


@pytest.mark.parametrize("value", [None, ""])
def test_a_field_that_is_empty_or_missing_is_named_with_what_there_is(value):
    item = Item("x9", "?", answers=("a",), fields={"solution": value})
    with pytest.raises(
        ConfigError, match=r"text names \{solution\}, which the item x9 .*has question, answers, an"
    ):
        Template("{solution}", "text").check([ITEM, item][1:])


def test_names_that_come_from_elsewhere_are_not_asked_of_items():
    Template("{choice} {title}", "continuation").check([ITEM], more=("choice",))


def test_line_ends_that_a_shell_did_not_make_are_refused():
    with pytest.raises(
        ConfigError,
        match=r"prompt holds a backslash and an n .*\$'task\.prompt=\"\.\.\.\\n\.\.\.\"'",
    ):
        Template("質問: {question}\\n答え:", "prompt")
    assert Template("{question} $a \\neq b$\n", "prompt").names == ("question",)
