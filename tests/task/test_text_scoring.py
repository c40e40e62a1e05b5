import json
import math

import pytest

from evoforge.errors import ConfigError
from evoforge.task.request import Compare, Context, Response
from evoforge.task.text_scoring import TextScoring

OPTIONS = {"name": "gold", "prompt": "Q: {question}\nA:", "text": " {answer_number}."}


@pytest.fixture
def task(items):
    """Return a maker of tasks over toy items."""

    def make(**changes):
        return TextScoring(items=items(), **{**OPTIONS, **changes})

    return make


def test_the_request_is_the_gold_text_after_the_prompt(task):
    made = task()
    item = made.items("test")[0]
    assert made.request(item) == Compare(Context("Q: 1+3=\nA:"), (" 4.",))


def test_a_score_is_the_mean_over_tokens_and_its_exponential(task):
    made = task()
    found = made.score(made.items("test")[0], Response(log_likelihoods=(-3.0,), lengths=(4,)))
    assert found == {"logprob": -0.75, "probability": pytest.approx(math.exp(-0.75))}


@pytest.mark.parametrize(("metric", "score"), [("logprob", -1.5), ("probability", None)])
def test_the_option_names_the_main_metric(task, metric, score):
    made = task(metric=metric)
    items = made.items("test")
    found = [made.score(items[0], Response(log_likelihoods=(-1.5,), lengths=(1,)))]
    verdict = made.judge(items, found)
    assert verdict.score == pytest.approx(math.exp(-1.5) if score is None else score)
    assert verdict.fitness == verdict.score


def test_a_text_that_the_model_is_sure_of_has_probability_1(task):
    made = task()
    found = made.score(made.items("test")[0], Response(log_likelihoods=(0.0,), lengths=(3,)))
    assert found["probability"] == 1


def test_shots_say_the_text_by_themselves(task):
    rows = [{"question": "5+5=", "answer_number": 10}]
    made = task(shots={"count": 1, "rows": rows})
    assert made.request(made.items("test")[0]).context.pieces == ("Q: 5+5=\nA: 10.\n\n",)


def test_an_item_without_the_text_is_named(task):
    with pytest.raises(ConfigError, match=r"text names \{solution\}, which the item s1 does not"):
        task(text="{solution}")


def test_an_unknown_metric_answers_with_the_choices(task):
    with pytest.raises(ConfigError, match=r"logprob, probability, got loss; set task\.metric"):
        task(metric="loss")


def test_a_text_without_any_character_is_refused(task):
    with pytest.raises(ConfigError, match=r"text must not be empty; set task\.text"):
        task(text="")


def test_a_chat_needs_a_tokenizer_with_a_template(task):
    class Plain:
        chat_template = None

    with pytest.raises(ConfigError, match=r"chat template"):
        task(chat=True).prepare(Plain())


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "{question}"},
        {"text": "{answer_number}"},
        {"description": "Add.\n"},
        {"shots": {"count": 0}},
        {"chat": True},
        {"special_tokens": False},
        {"separate": True},
        {"too_long": "refuse"},
        {"metric": "probability"},
    ],
)
def test_every_option_changes_the_protocol(task, change):
    made = task(**change)
    assert made.protocol_hash("test") != task().protocol_hash("test")
    assert json.loads(json.dumps(made.settings)) == made.settings
