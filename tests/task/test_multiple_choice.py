import json
import math

import pytest

from evoforge.errors import ConfigError
from evoforge.task.base import PARTS
from evoforge.task.multiple_choice import MultipleChoice
from evoforge.task.request import Compare, Context, Response

LABELS = [0, 0, 0, 1]


def rows(part, labels=LABELS, choices=("no", "yes")):
    return [
        {"id": f"{part}{i}", "question": f"{part} {i}?", "choices": list(choices), "label": label}
        for i, label in enumerate(labels)
    ]


@pytest.fixture
def task(items):
    """Return a maker of tasks of four items a part: `task(prompt="{question}")`."""

    def make(given=None, **changes):
        source = items(**{part: rows(part) for part in PARTS} | (given or {}))
        return MultipleChoice(items=source, **{"name": "toy", "prompt": "{question}\n", **changes})

    return make


def answered(task, sums, lengths=(1, 1), place=0):
    item = task.items("test")[place]
    return task.score(item, Response(log_likelihoods=sums, lengths=lengths))


def test_the_request_compares_the_choices(task):
    made = task()
    assert made.request(made.items("test")[0]) == Compare(Context("test 0?\n"), ("no", "yes"))


@pytest.mark.parametrize(
    ("continuation", "wanted"),
    [
        (" {choice}", (" no", " yes")),
        ("{digit}", ("0", "1")),
        ("{number}.", ("1.", "2.")),
        ("{letter}", ("A", "B")),
        ("{question} {choice}", ("test 0? no", "test 0? yes")),
    ],
)
def test_a_choice_follows_as_the_continuation_says(task, continuation, wanted):
    made = task(continuation=continuation)
    assert made.request(made.items("test")[0]).continuations == wanted


def test_choices_may_stand_in_the_prompt(task):
    made = task(prompt="{question}\n{choices:dashes}\n", labels=["いいえ", "はい"])
    assert made.request(made.items("test")[0]).context.text == "test 0?\n- いいえ\n- はい\n"


def test_labels_stand_for_the_items_choices(task):
    made = task(labels=["いいえ", "はい"])
    assert made.request(made.items("test")[0]).continuations == ("いいえ", "はい")


def test_without_a_prompt_the_context_is_empty(task):
    made = task(prompt="", protocol="jp_stable")
    request = made.request(made.items("test")[0])
    assert request == Compare(Context(special_tokens=False), ("no", "yes"), separate=True)


def test_shots_answer_with_their_right_choice(task):
    made = task(
        continuation=" {choice}",
        shots={"count": 2, "draw": "first", "rows": rows("shot", [1, 0])},
    )
    context = made.request(made.items("test")[0]).context
    assert context.pieces == ("shot 0?\n yes\n\n", "shot 1?\n no\n\n")


def test_stratified_shots_show_every_label(task):
    made = task(shots={"count": 2, "draw": "stratified", "rows": rows("shot", [0] * 9 + [1])})
    for item in made.items("test"):
        told = "".join(made.request(item).context.pieces)
        assert ("\nno\n" in told, "\nyes\n" in told) == (True, True)


def test_the_test_part_is_in_the_order_of_the_draw(task):
    made = task(shots={"count": 0, "draw": "random"})
    # random.Random(42).shuffle of four.
    assert [item.id for item in made.items("test")] == ["test2", "test1", "test3", "test0"]
    assert [item.id for item in made.items("search")] == [f"search{i}" for i in range(4)]


@pytest.mark.parametrize(("sums", "acc", "choice"), [((-1.0, -2.0), 1, 0), ((-2.0, -1.0), 0, 1)])
def test_the_most_likely_choice_is_the_answer(task, sums, acc, choice):
    assert answered(task(), sums) == {"acc": acc, "choice": choice}


def test_of_equal_choices_the_first_is_the_answer(task):
    assert answered(task(), (-1.0, -1.0))["choice"] == 0


def test_a_choice_that_is_impossible_may_lose(task):
    assert answered(task(), (-math.inf, -9.0))["choice"] == 1


def test_what_is_no_number_is_no_answer(task):
    with pytest.raises(ValueError, match="the log-likelihoods of test0 are"):
        answered(task(), (math.nan, -1.0))


@pytest.mark.parametrize(
    ("normalise", "choice"),
    # Sums -4 and -5 of 2 and 4 tokens, 2 and 3 characters, 6 and 3 bytes.
    [("none", 0), ("tokens", 1), ("characters", 1), ("bytes", 0)],
)
def test_sums_are_divided_as_told(items, normalise, choice):
    given = {part: rows(part, choices=("はい", "yes")) for part in PARTS}
    made = MultipleChoice(
        name="toy", items=items(**given), prompt="{question}", normalise=normalise
    )
    assert answered(made, (-4.0, -5.0), (2, 4))["choice"] == choice


def test_what_a_choice_is_divided_by_is_what_was_said(items):
    given = {part: rows(part, choices=("はい", "yes")) for part in PARTS}
    made = MultipleChoice(
        name="toy",
        items=items(**given),
        prompt="{question}",
        continuation=" {letter}",
        normalise="characters",
    )
    # A and B are of one length, whatever they stand for: -4 / 1 > -5 / 1.
    assert answered(made, (-4.0, -5.0), (1, 1))["choice"] == 0


def judged(task, chosen):
    items = task.items("test")
    sums = [(-1.0, -2.0) if place == 0 else (-2.0, -1.0) for place in chosen]
    return task.judge(
        items,
        [
            task.score(item, Response(log_likelihoods=s, lengths=(1, 1)))
            for item, s in zip(items, sums, strict=True)
        ],
    )


def test_a_set_has_the_metrics_of_classes_beside_the_accuracy(task):
    # Labels 0, 0, 0, 1, and always 0 is said: 3 of 4, but all of one class and none of the other.
    verdict = judged(task(), [0, 0, 0, 0])
    assert verdict.score == verdict.fitness == 0.75
    assert verdict.metrics == {
        "acc": 0.75,
        "balanced_acc": 0.5,
        "mcc": 0.0,
        "macro_f1": pytest.approx(3 / 7),
    }


def test_balanced_accuracy_may_be_the_main_metric(task):
    made = task(metric="balanced_acc")
    verdict = judged(made, [0, 0, 1, 1])
    # Two of three zeros, and the one: (2/3 + 1) / 2; plainly three of four.
    assert verdict.score == pytest.approx(5 / 6)
    assert (verdict.metrics["balanced_acc"], verdict.metrics["acc"]) == (
        pytest.approx(5 / 6),
        0.75,
    )
    assert made.weights(made.items("test")) == (1 / 6, 1 / 6, 1 / 6, 1 / 2)


def test_a_set_of_one_label_is_judged_by_it_alone(task):
    made = task(metric="balanced_acc")
    assert made.weights(made.items("test")[:2]) == (0.5, 0.5)


def test_places_of_different_choices_are_no_classes(task):
    made = task({"test": rows("test", [0, 1], ("a", "b"))})
    assert set(judged(made, [0, 0]).metrics) == {"acc"}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_all_one_label_is_refused(task, part):
    with pytest.raises(
        ConfigError, match=rf"the {part} part of toy has the label 1 \(yes\), so one answer would"
    ):
        task({part: rows(part, [1, 1, 1])})


def test_a_part_of_one_item_has_one_label(task):
    assert len(task({"select": rows("select", [1])}).items("select")) == 1


@pytest.mark.parametrize("choices", [("a",), ("a", "")])
def test_fewer_than_two_choices_are_refused(task, choices):
    with pytest.raises(ConfigError, match="select0 of toy must offer at least 2 choices, none emp"):
        task({"select": rows("select", [0], choices)})


def test_items_without_choices_are_refused(task):
    given = {"select": [{"id": "x1", "question": "a", "answers": ["b"]}]}
    with pytest.raises(ConfigError, match="x1 of toy must offer at least 2 choices"):
        task(given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["a", "b", "c"]}, r"labels must be as many as the 2 choices of .*task\.labels"),
        (
            {"normalise": "words"},
            r"none, tokens, characters, bytes, got words; set task\.normalise",
        ),
        ({"metric": "f1"}, r"one of acc, balanced_acc, got f1; set task\.metric"),
        ({"continuation": "{choice}{option}"}, r"continuation names \{option\}, which the item"),
        ({"continuation": "x"}, r"must hold .*\{choice\}.*, got 'x'; set task\.continuation"),
        ({"labels": ["a", ""]}, r"labels must be texts that are not empty, got .*set task\.labels"),
        ({"labels": "ab"}, r"labels must be texts that are not empty, got 'ab'; set task\.labels"),
        ({"prompt": "{question}{label}"}, "gives the answer away"),
        ({"labels": ["a", "a"]}, r"labels must differ, got .*; set task\.labels"),
        ({"separate": "x"}, r"separate must be true or false, got 'x'; set task\.separate"),
        ({"continuation": None}, r"continuation must be a text, got None; set task\.continuation"),
        ({"protocol": "paper"}, r"got paper; set task\.protocol"),
        ({"protocol": "sakana"}, r"sakana is for written answers; set task\.protocol to robust or"),
        ({"shots": {"count": 1, "answer": "x"}}, r"rows, without, got answer; set task\.shots"),
        ({"shots": {"count": 1, "rows": [{"question": "a", "answers": ["b"]}]}}, "2 choices"),
    ],
)
def test_options_that_make_no_sense_are_named(task, changes, message):
    with pytest.raises(ConfigError, match=message):
        task(**changes)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "{question}"},
        {"continuation": " {choice}"},
        {"labels": ["no", "Yes"]},
        {"protocol": "jp_stable"},
        {"description": "Say.\n"},
        {"shots": {"count": 1, "rows": rows("shot")}},
        {"chat": True},
        {"special_tokens": False},
        {"separate": True},
        {"too_long": "cut"},
        {"normalise": "bytes"},
        {"metric": "balanced_acc"},
    ],
)
def test_every_option_changes_the_protocol(task, change):
    made = task(**change)
    assert made.protocol_hash("test") != task().protocol_hash("test")
    assert json.loads(json.dumps(made.settings)) == made.settings


def test_the_japanese_harness_tokenises_apart_and_without_special_tokens(task):
    made = task(protocol="jp_stable")
    request = made.request(made.items("test")[0])
    assert (request.separate, request.context.special_tokens) == (True, False)
    assert (made.settings["protocol"], made.settings["protocol_changed"]) == ("jp_stable", [])
    assert task(protocol="jp_stable", separate=False).settings["protocol_changed"] == ["separate"]
