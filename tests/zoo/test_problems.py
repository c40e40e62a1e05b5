"""The problems: disjoint parts, the same everywhere, parallel in both languages."""

import re
import subprocess
import sys

import pytest

from evoforge.errors import ConfigError
from evoforge.zoo.problems import OPERATIONS, PARTS, Problem, Problems, part_of

SIZES = {"search": 900, "select": 900, "test": 900}


def test_parts_and_seeds_share_no_question() -> None:
    asked: dict[str, set[str]] = {part: set() for part in SIZES}
    for seed in (0, 1):
        problems = Problems(seed=seed, **SIZES)
        for part in SIZES:
            asked[part] |= {row["question"] for row in problems.rows(part)}
    assert not asked["search"] & asked["select"]
    assert not asked["search"] & asked["test"]
    assert not asked["select"] & asked["test"]


@pytest.mark.parametrize("part", SIZES)
def test_no_row_twice(part: str) -> None:
    rows = Problems(**SIZES).rows(part)
    assert len({row["question"] for row in rows}) == len(rows) == SIZES[part]
    assert len({row["id"] for row in rows}) == len(rows)


def test_every_problem_has_one_part_near_its_share() -> None:
    problems = [Problem("addition", a, b, 0, 0, 0) for a in range(2, 100) for b in range(2, 100)]
    parts = [part_of(problem) for problem in problems]
    for part, percent in PARTS.items():
        assert abs(100 * parts.count(part) / len(parts) - percent) < 2


def test_both_languages_tell_the_same_problems() -> None:
    for english, japanese in zip(
        Problems(language="en").rows("test"), Problems(language="ja").rows("test"), strict=True
    ):
        assert english["answer_number"] == japanese["answer_number"]
        numbers = re.findall(r"\d+", english["question"])
        assert numbers == re.findall(r"\d+", japanese["question"])


def test_solutions_end_with_the_answer() -> None:
    for language in ("en", "ja"):
        for row in Problems(language=language).rows("search"):
            assert row["answers"] == [str(row["answer_number"])]
            assert re.findall(r"\d+", row["solution"])[-1] == row["answers"][0]
            assert row["answer_number"] >= 0


def test_operations_take_equal_turns() -> None:
    signs = [re.findall(r"[-+×]", row["solution"])[0] for row in Problems(test=30).rows("test")]
    assert signs == ["+", "-", "×"] * 10


def test_seed_changes_the_draw() -> None:
    assert Problems(seed=1).rows("test") != Problems().rows("test")


def test_sizes_only_cut_the_draw() -> None:
    assert Problems(test=20).rows("test") == Problems(test=40).rows("test")[:20]


def test_same_in_another_process() -> None:
    code = "from evoforge.zoo.problems import Problems; print(Problems().rows('select'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str(Problems().rows("select"))


def test_first_rows_are_golden() -> None:
    assert Problems(language="ja").rows("test")[0] == {
        "id": "zoo-ja-test-00000",
        "question": "箱におにぎりが14個あります。太郎さんが7個入れました。全部で何個ですか。",
        "answer_number": 21,
        "answers": ["21"],
        "solution": "計算すると 14 + 7 = 21 です。答えは 21 です。",
    }
    assert Problems(language="en").rows("test")[2] == {
        "id": "zoo-en-test-00002",
        "question": "There are 3 boxes. Jiro puts 9 balls into each. How many are there in all?",
        "answer_number": 27,
        "answers": ["27"],
        "solution": "We compute 3 × 9 = 27. The answer is 27.",
    }
    search = Problems(language="ja").rows("search")[0]["question"]
    assert search == "秋さんは貝がらを昨日50個、今日68個買いました。全部で何個ですか。"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"operations": ["division"]},
            r"operations must be among addition, subtraction, multiplication, got \['division'\]; "
            "set task.items.operations",
        ),
        ({"operations": []}, r"got \[\]; set task.items.operations"),
        ({"operations": ["addition", "addition"]}, "must not repeat"),
        ({"language": "fr"}, "language must be among en, ja, got 'fr'; set task.items.language"),
        ({"search": 0}, "search must be between 1 and 4500 .* got 0; set task.items.search"),
        ({"test": 4501}, "got 4501; set task.items.test"),
        ({"test": 1501, "operations": OPERATIONS[:1]}, "between 1 and 1500"),
        ({"seed": -1}, "seed must be 0 or more, got -1; set task.items.seed"),
    ],
)
def test_bad_options_say_what_to_change(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Problems(**options)  # type: ignore[arg-type]


def test_unknown_part_names_the_choices() -> None:
    with pytest.raises(ConfigError, match="search, select, test, got 'train'"):
        Problems().rows("train")
