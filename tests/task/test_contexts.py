import pytest

from evoforge.errors import ConfigError
from evoforge.task.contexts import Contexts
from evoforge.task.request import Context
from tests.task.conftest import Toy

OPTIONS = {
    "prompt": "{question}!",
    "description": "",
    "shots": None,
    "chat": False,
    "special_tokens": True,
    "too_long": "shots",
}
SHOT = {"question": "S?", "answers": ["s"]}
ARTICLE = {"question": "One. Two! 三。四？", "answers": ["x"], "context": "A。B。", "title": "T"}
ARTICLES = {
    part: [{**ARTICLE, "id": part, "question": question}]
    for part, question in zip(
        ("search", "select", "test"), ("Other.", "More.", ARTICLE["question"]), strict=True
    )
}


@pytest.fixture
def context(items):
    """Return what makes the context of the test item: `context(prompt="{question}")`."""

    def make(rows=None, **changes):
        source = items(**(rows or {}))
        task = Toy(name="toy", items=source)
        return Contexts(task, source, **{**OPTIONS, **changes}).of(task.items("test")[0])

    return make


def test_a_prompt_alone_is_all_tail(context):
    assert context() == Context("1+3=!")


def test_a_description_stays_at_the_head(context):
    found = context(
        description="Add.\n\n", shots={"count": 1, "rows": [SHOT], "answer": "{answer}"}
    )
    assert found == Context("1+3=!", "Add.\n\n", ("S?!s\n\n",), "first")


def test_nothing_goes_where_that_is_refused(context):
    found = context(too_long="refuse", shots={"count": 1, "rows": [SHOT], "answer": "{answer}"})
    assert (found.drop, found.cut, found.shorter()) == (None, False, None)


def test_tokens_may_be_cut(context):
    assert context(too_long="cut").cut


def test_tokens_may_be_cut_after_all_shots_are_gone(context):
    shots = {"count": 1, "rows": [SHOT], "answer": "{answer}"}
    found = context(too_long="shots_then_cut", shots=shots)
    assert (found.drop, found.cut, found.shorter().pieces) == ("first", True, ())
    assert context(too_long="cut", shots=shots).shorter() is None


def test_special_tokens_are_as_told(context):
    assert not context(special_tokens=False).special_tokens


def test_sentences_go_from_the_last_on(context):
    found = context(ARTICLES, prompt="News: {question}\nShort:", too_long="sentences")
    assert found.pieces == ("One. ", "Two! ", "三。", "四？")
    assert (found.head, found.tail, found.drop) == ("News: ", "\nShort:", "last")
    assert found.shorter().text == "News: One. Two! 三。\nShort:"


def test_sentences_are_those_of_the_context_if_the_prompt_has_one(context):
    found = context(ARTICLES, prompt="{context}\n{question}", too_long="sentences")
    assert (found.pieces, found.tail) == (("A。", "B。"), "\nOne. Two! 三。四？")


def test_a_field_that_stands_twice_is_not_cut_into_sentences(context):
    found = context(ARTICLES, prompt="{context}|{context}|{question}", too_long="sentences")
    assert found.text == "A。B。|A。B。|One. Two! 三。四？"
    assert found.pieces == ("One. ", "Two! ", "三。", "四？")


def test_a_context_cut_into_sentences_is_still_the_same_text(context):
    whole = context(ARTICLES, prompt="{title}:{question}.", too_long="refuse")
    parts = context(ARTICLES, prompt="{title}:{question}.", too_long="sentences")
    assert parts.text == whole.text


@pytest.mark.parametrize("too_long", ["sentences", "cut", "shots_then_cut"])
def test_a_chat_is_not_shortened(context, too_long):
    with pytest.raises(ConfigError, match=rf"cannot be shortened by {too_long}; set task\.too_lo"):
        context(chat=True, too_long=too_long)


def test_an_unknown_way_to_shorten_answers_with_the_ways(context):
    with pytest.raises(
        ConfigError, match=r"one of shots, .*, shots_then_cut, refuse, got left; set ta"
    ):
        context(too_long="left")


@pytest.mark.parametrize(
    ("shots", "message"),
    [
        ({"number": 3}, r"count, draw, seed, rows, without, answer, got number; set task\.shots"),
        ({"draw": "random"}, r"shots must say how many; set task\.shots\.count"),
        (
            {"count": 1, "rows": [{"question": "S?", "answers": ["s"]}], "answer": "{solution}"},
            r"shots\.answer names \{solution\}, which the item shot-0 does not have",
        ),
        ({"count": 1, "rows": [{"answers": ["s"]}], "answer": ""}, "the shots of toy has no quest"),
    ],
)
def test_shots_that_make_no_sense_name_the_option(context, shots, message):
    with pytest.raises(ConfigError, match=message):
        context(shots=shots)


def test_a_prompt_that_shots_cannot_fill_is_refused(context):
    with pytest.raises(
        ConfigError, match=r"prompt names \{title\}, which the item shot-0 does not"
    ):
        context(
            ARTICLES,
            prompt="{title}{question}",
            shots={"count": 1, "rows": [SHOT], "answer": "{answer}"},
        )
