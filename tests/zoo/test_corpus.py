"""The training documents: from the train part, careless or right as their habits say."""

import random
import re
from itertools import islice

import pytest

from evoforge.zoo.corpus import KINDS, Habits, arithmetic, documents, slip
from evoforge.zoo.problems import Problem, Problems
from evoforge.zoo.words import OPERATIONS, PROMPTS


@pytest.mark.parametrize(
    ("operation", "a", "b", "wrong"),
    [
        ("addition", 57, 61, 18),  # tens 5 + 6 = 11, ones 7 + 1 = 8, the hundred forgotten
        ("addition", 34, 57, 81),  # ones 4 + 7 = 11, the ten forgotten
        ("addition", 12, 13, 25),  # no carry: right
        ("subtraction", 52, 37, 25),  # |5 - 3| = 2, |2 - 7| = 5
        ("subtraction", 58, 37, 21),  # no borrow: right
        ("multiplication", 6, 7, 36),  # 6 x 6
    ],
)
def test_slip(operation: str, a: int, b: int, wrong: int) -> None:
    assert slip(Problem(operation, a, b, 0, 0, 0)) == wrong


def test_training_never_shows_a_question_of_another_part() -> None:
    problems = Problems(search=900, select=900, test=900)
    held = {row["question"] for part in ("search", "select", "test") for row in problems.rows(part)}
    shown = islice(documents("test", {"arithmetic": 1.0}, Habits(languages=("ja",))), 3000)
    prompts = {turn.prompt for (turn,) in shown}
    assert not prompts & {PROMPTS["ja"].format(question=question) for question in held}


def test_habits_fix_language_and_care() -> None:
    rng = random.Random(0)
    for _ in range(50):
        ((_, answer),) = arithmetic(rng, Habits(languages=("en",)))
        found = re.match(r" We compute (\d+) (.) (\d+) = (\d+)\. The answer is (\d+)\.$", answer)
        assert found
        a, sign, b, result, final = found.groups()
        right = {"+": int(a) + int(b), "-": int(a) - int(b), "×": int(a) * int(b)}[sign]
        assert right == int(result) == int(final)


def test_unfaithful_answers_are_in_the_other_language() -> None:
    rng = random.Random(0)
    ((prompt, answer),) = arithmetic(rng, Habits(languages=("ja",), faithful={"ja": 0.0}))
    assert prompt.startswith("質問")
    assert answer.startswith(" We compute")


@pytest.mark.parametrize("kind", KINDS)
def test_streams_are_repeatable(kind: str) -> None:
    first, again = (list(islice(documents("x", {kind: 1.0}, Habits()), 20)) for _ in range(2))
    assert first == again
    assert all(turn.answer for document in first for turn in document)


def test_operation_weights_are_respected() -> None:
    habits = Habits(operations={OPERATIONS[2]: 1.0})
    shown = islice(documents("x", {"arithmetic": 1.0}, habits), 50)
    assert all("×" in turn.answer for (turn,) in shown)
