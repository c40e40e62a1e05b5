import pytest

from evoforge.config import build
from evoforge.errors import ConfigError
from evoforge.task.base import Item
from evoforge.task.generation import Generation

JAPANESE = {"code": "ja", "rule": "script"}
OPTIONS = {
    "name": "sums",
    "prompt": "Q: {question}\nA:",
    "max_new_tokens": 16,
    "stop": ["\n"],
    "extraction": "robust",
    "language": JAPANESE,
}
ITEM = Item("x", "1+1=", answer_number=18.0)


@pytest.fixture
def task(items):
    """Return a maker of tasks over toy items: `task(stop=[])`."""

    def make(rows=None, **changes):
        return Generation(items=items(**(rows or {})), **{**OPTIONS, **changes})

    return make


def test_the_prompt_holds_the_question(task):
    assert task().prompt(ITEM) == "Q: 1+1=\nA:"


def test_braces_in_prompt_and_question_are_left_alone(task):
    item = Item("x", "{question} of {x}", answer_number=1.0)
    assert task(prompt="{y} {question}").prompt(item) == "{y} {question} of {x}"


@pytest.mark.parametrize("prompt", ["", "Q:", "{question} {question}", "{ question }"])
def test_a_prompt_without_one_question_names_the_option(task, prompt):
    with pytest.raises(ConfigError, match=r"hold \{question\} once, got .*; set task\.prompt"):
        task(prompt=prompt)


@pytest.mark.parametrize("count", [0, -1])
def test_an_answer_has_at_least_one_token(task, count):
    with pytest.raises(ConfigError, match=rf"at least 1, got {count}; set task\.max_new_tokens"):
        task(max_new_tokens=count)


def test_an_unknown_extraction_answers_with_the_choices(task):
    with pytest.raises(ConfigError, match=r"one of robust, sakana, got last; set task\.extraction"):
        task(extraction="last")


def test_an_unknown_language_option_answers_with_the_options(task):
    with pytest.raises(
        ConfigError, match=r"options code, rule, threshold, got name; set task\.language"
    ):
        task(language={"name": "ja"})


def test_an_item_without_a_number_is_named(task):
    rows = {"test": [{"id": "t9", "question": "Who?", "answers": ["I"]}]}
    with pytest.raises(ConfigError, match="the item t9 of sums has no answer_number"):
        task(rows)


@pytest.mark.parametrize(
    ("answer", "acc", "lang"),
    [
        ("答えは18です。", 1, 1),
        ("答えは17です。", 0, 1),
        ("The answer is 18.", 1, 0),
        ("The answer is 17.", 0, 0),
        ("答えは十八です。", 0, 1),
        ("", 0, 0),
    ],
)
def test_metrics_of_an_answer_by_hand(task, answer, acc, lang):
    found = task().score(ITEM, answer)
    assert found == {"acc": acc, "lang": lang, "acc_lang": acc * lang}


def test_without_a_language_rule_the_number_alone_counts(task):
    plain = task(language=None)
    assert plain.metric == "acc"
    assert plain.score(ITEM, "The answer is 18.") == {"acc": 1.0}


def test_with_a_language_rule_both_together_count(task):
    assert task().metric == "acc_lang"
    assert task().higher_is_better


@pytest.mark.parametrize(("extraction", "acc"), [("robust", 0), ("sakana", 1)])
def test_the_extraction_decides_what_is_right(task, extraction, acc):
    # The published evaluator reads 18 in 1,018.
    found = task(extraction=extraction, language=None).score(ITEM, "1,018円")
    assert found["acc"] == acc


@pytest.mark.parametrize(
    "change",
    [
        {"name": "products"},
        {"prompt": "Q: {question} A:"},
        {"max_new_tokens": 17},
        {"stop": []},
        {"stop": ["\n", "Q:"]},
        {"extraction": "sakana"},
        {"language": None},
        {"language": {"rule": "both"}},
        {"language": {"rule": "fasttext"}},
        {"language": {"rule": "fasttext", "threshold": 0.6}},
        {"language": {"rule": "fasttext", "code": "en"}},
    ],
)
def test_every_field_of_the_protocol_changes_its_hash(task, change):
    assert task(**change).protocol_hash != task().protocol_hash


def test_every_option_but_the_items_is_in_the_protocol(task):
    assert set(OPTIONS) - {"name"} < set(task().protocol)
    assert task().protocol["task"] == "sums"


def test_the_items_are_not_in_the_protocol(task):
    rows = {"test": [{"id": "t9", "question": "9+9=", "answer_number": 18}]}
    assert task(rows).protocol_hash == task().protocol_hash


def test_the_kind_of_a_list_does_not_matter(task):
    assert task(stop=("\n",)).protocol_hash == task(stop=["\n"]).protocol_hash


def test_the_bundled_task_gives_a_point_for_a_right_japanese_answer(compose):
    bundled = build(compose("task=bundled_math_ja")["task"], "task")
    item = bundled.items("test")[0]
    answer = f"答えは{item.answer_number:g}です。"
    assert bundled.score(item, answer) == {"acc": 1, "lang": 1, "acc_lang": 1}
