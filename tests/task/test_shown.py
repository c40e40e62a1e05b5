"""Prompts that show pictures: tasks of every kind with rows that have an image."""

import pytest

from evoforge.errors import ConfigError
from evoforge.task.generation import Generation
from evoforge.task.multiple_choice import MultipleChoice
from evoforge.task.text_scoring import TextScoring
from tests.task.conftest import ROWS, shown

PROMPT = "<image>\n質問: {question}\n答え:"


@pytest.fixture
def task(items):
    """Return a maker of tasks about pictures: `task(prompt="...")`."""

    def make(rows=None, **options):
        given = items(**(rows or shown()))
        options = {"prompt": PROMPT, "judge": "rougel", **options}
        return Generation(name="seen", items=given, **options)

    return make


@pytest.fixture
def choice(items):
    rows = shown(choices=["赤", "青"])
    rows = {part: [{**r, "label": i % 2} for i, r in enumerate(rows[part])] for part in rows}

    def make(**options):
        return MultipleChoice(name="seen", items=items(**rows), prompt=PROMPT, **options)

    return make


def test_a_request_shows_the_items_picture(task):
    made = task()
    item = made.items("test")[0]
    assert made.request(item).picture == item.picture is not None
    assert made.request(item).context.text == "<image>\n質問: 何色ですか。\n答え:"


def test_a_proxy_shows_it_too(task):
    made = task(proxy="{answer}").proxy
    item = made.items("search")[0]
    request = made.request(item)
    assert (request.picture, request.continuations) == (item.picture, ("赤い色です。",))


def test_choices_are_compared_after_it(choice):
    made = choice()
    item = made.items("select")[1]
    assert made.request(item).picture == item.picture is not None


def test_a_chat_has_it_in_its_last_message(task):
    made = task(chat=True, description="見て。")
    request = made.request(made.items("test")[0])
    assert [message["role"] for message in request.context.messages] == ["system", "user"]
    assert request.context.messages[1]["content"].startswith("<image>\n")


def test_tasks_without_pictures_ask_without(items):
    made = Generation(name="t", items=items(), prompt="{question}")
    assert made.request(made.items("test")[0]).picture is None


@pytest.mark.parametrize(
    "options",
    [
        {"prompt": "{question}"},
        {"prompt": "<image><image>{question}"},
        {"description": "<image>\n"},
        {"description": "<image>\n", "prompt": "{question}"},
    ],
)
def test_a_prompt_must_show_the_picture_once(task, options):
    with pytest.raises(ConfigError, match="prompt must hold <image> once, .*: set task.prompt"):
        task(**options)


def test_a_prompt_that_names_the_column_says_what_to_write(task):
    with pytest.raises(ConfigError, match=r"prompt names \{image\}"):
        task(prompt="<image>{image}{question}")


def test_a_prompt_cannot_show_what_is_not_there(items):
    with pytest.raises(ConfigError, match="prompt holds <image>, and the items of t have no pict"):
        Generation(name="t", items=items(), prompt="<image>{question}")


def test_a_question_that_holds_the_mark_is_named(task):
    rows = shown()
    rows["select"][1]["question"] = "<image>は何ですか。"
    with pytest.raises(ConfigError, match="question of the item select1 holds <image>, which st"):
        task(rows)


def test_a_gold_text_that_holds_the_mark_is_named(task):
    rows = shown()
    rows["search"][0]["answers"] = ["<image>"]
    assert task(rows)
    with pytest.raises(ConfigError, match="text of the item search0 holds <image>"):
        task(rows, proxy="{answer}")


def test_a_choice_that_holds_the_mark_is_named(choice):
    with pytest.raises(ConfigError, match="choices of the item search0 holds <image>"):
        choice(labels=["<image>", "青"])


def test_items_of_which_some_have_a_picture_are_refused(task):
    rows = shown()
    del rows["test"][1]["image"]
    with pytest.raises(ConfigError, match="the item test1 of seen has no picture, and others have"):
        task(rows)


@pytest.mark.parametrize("make", ["task", "choice"])
def test_shots_are_refused_for_a_prompt_shows_one_picture(request, make):
    rows = [{"question": "何?", "answers": ["赤"], "choices": ["赤", "青"], "label": 0}]
    with pytest.raises(ConfigError, match="a prompt shows one picture; set task.shots=null"):
        request.getfixturevalue(make)(shots={"count": 1, "rows": rows})
    assert request.getfixturevalue(make)(shots={"count": 0})


def test_texts_may_hold_the_mark_where_there_are_no_pictures(items):
    rows = {part: [{**row, "question": f"<image> {part}"} for row in ROWS[part]] for part in ROWS}
    made = TextScoring(name="t", items=items(**rows), prompt="{question}", text="{answer_number}")
    assert made.request(made.items("test")[0]).context.text == "<image> test"


def test_the_same_picture_in_two_parts_is_refused(task):
    rows = shown()
    rows["test"][1]["image"] = rows["search"][0]["image"]
    with pytest.raises(
        ConfigError,
        match="test1 of the test part shows the same picture as search0 of the search part",
    ):
        task(rows)


def test_several_questions_on_one_picture_of_a_part_are_welcome(task):
    rows = shown()
    rows["test"][1]["image"] = rows["test"][0]["image"]
    assert len(task(rows).items("test")) == 2


def test_other_pictures_are_other_items(task):
    rows = shown()
    swapped = {**rows, "test": [{**rows["test"][0], "image": rows["test"][1]["image"]}]}
    first = {**rows, "test": rows["test"][:1]}
    assert task(first).items_hash != task(swapped).items_hash


def test_a_picture_that_is_none_is_named_with_its_item(task):
    rows = shown()
    rows["select"][0]["image"] = b"text"
    with pytest.raises(ConfigError, match="the item select0 of seen is no picture"):
        task(rows)
