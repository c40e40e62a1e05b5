import random
from collections import Counter

import pytest

from evoforge.errors import ConfigError
from evoforge.task.base import PARTS
from evoforge.task.shots import Shots, stratified
from tests.task.conftest import Toy


def rows(part, count, labels=(0, 0, 0, 0, 0, 1, 1, 1, 2, 2)):
    return [
        {
            "id": f"{part}{i}",
            "question": f"{part} {i}?",
            "choices": ["a", "b", "c"],
            "label": labels[i % len(labels)],
        }
        for i in range(count)
    ]


@pytest.fixture
def shots(items):
    """Return what draws for parts of 8 items from 20 rows: `shots(count=3)`."""

    def draw(pool=None, parts=None, **options):
        given = {part: rows(part, 8) for part in PARTS} | (parts or {})
        source = items(**given, shots=rows("shot", 20) if pool is None else pool)
        task = Toy(name="toy", items=source)
        return Shots("toy", source, {part: task.items(part) for part in PARTS}, **options)

    return draw


def ids(found):
    return [item.id for item in found]


def test_one_generator_shuffles_the_items_and_then_draws_for_each(shots):
    drawn = shots(count=3)
    # The harness, word for word: shuffle the documents, then sample for each in turn.
    generator = random.Random(42)
    documents = [f"test{i}" for i in range(8)]
    generator.shuffle(documents)
    pool = [f"shot{i}" for i in range(20)]
    assert ids(drawn.order("test")) == documents
    for item in drawn.order("test"):
        assert ids(drawn.of(item)) == generator.sample(pool, 3)


def test_a_stratified_draw_samples_each_label_and_shuffles(shots):
    drawn = shots(count=4, draw="stratified")
    generator = random.Random(42)
    documents = list(range(8))
    generator.shuffle(documents)
    labels = [row["label"] for row in rows("shot", 20)]
    classes = [[f"shot{i}" for i, label in enumerate(labels) if label == c] for c in range(3)]
    for item in drawn.order("test"):
        # Of 10, 6 and 4 rows 4 are drawn: 2, 1.2 and 0.8, so 2, 1, 0 and one more of the least.
        expected = [
            shot
            for c, size in zip(classes, (2, 1, 1), strict=True)
            for shot in generator.sample(c, size)
        ]
        generator.shuffle(expected)
        assert ids(drawn.of(item)) == expected


@pytest.mark.parametrize(
    ("available", "count", "sizes"),
    [
        # JCoLA's and JNLI's shares; a remainder goes to the smallest class, the first of equals.
        ([139, 726], 3, [1, 2]),
        ([349, 735, 1350], 3, [1, 1, 1]),
        ([1, 1, 1], 2, [1, 1, 0]),
        ([1, 9], 10, [1, 9]),
        ([2, 2], 0, [0, 0]),
        # A class of which all are drawn cannot give more.
        ([1, 5], 4, [1, 3]),
    ],
)
def test_the_sizes_of_a_stratified_draw(available, count, sizes):
    assert stratified(available, count) == sizes


def test_shots_of_an_item_do_not_depend_on_other_parts(shots):
    other = shots(parts={"search": rows("search", 3)}, count=2)
    same = shots(count=2)
    assert [ids(other.of(i)) for i in other.order("test")] == [
        ids(same.of(i)) for i in same.order("test")
    ]


def test_the_first_shots_are_the_same_for_all_and_keep_the_order(shots):
    drawn = shots(count=2, draw="first")
    assert ids(drawn.order("test")) == [f"test{i}" for i in range(8)]
    assert {tuple(ids(drawn.of(item))) for item in drawn.order("test")} == {("shot0", "shot1")}


def test_the_seed_decides_the_draw(shots):
    draws = [[ids(s.of(i)) for i in s.order("search")] for s in (shots(count=3), shots(count=3))]
    assert draws[0] == draws[1]
    other = shots(count=3, seed=43)
    assert [ids(other.of(i)) for i in other.order("search")] != draws[0]


def test_a_list_of_rows_is_drawn_from_instead(shots):
    drawn = shots(count=1, draw="first", rows=[{"question": "Mine?", "answers": ["yes"]}])
    assert [s.question for s in drawn.of(drawn.order("test")[0])] == ["Mine?"]


def test_no_shots_still_shuffle(shots):
    drawn = shots(pool=[], count=0)
    order = ids(drawn.order("test"))
    assert order != sorted(order) == [f"test{i}" for i in range(8)]
    assert drawn.of(drawn.order("test")[0]) == ()


def test_an_item_never_sees_itself(shots):
    pool = [{**row, "id": f"p{i}"} for i, row in enumerate(rows("test", 8))]
    drawn = shots(pool=pool, count=8)
    for item in drawn.order("test"):
        found = drawn.of(item)
        assert len(found) == 7
        assert item.question not in [shot.question for shot in found]
    # In other words: full width is the same question.
    pool[0]["question"] = "ＴＥＳＴ　０？"
    other = shots(pool=pool, count=8)
    first = next(item for item in other.order("test") if item.id == "test0")
    assert len(other.of(first)) == 7


def test_headings_are_taken_out_of_the_rows(shots):
    row = {"question": "問題：何？", "answers": ["一"], "solution": "答え：一。"}
    drawn = shots(count=1, rows=[row], without=["問題：", "答え："])
    assert (drawn.pool[0].question, drawn.pool[0].fields["solution"]) == ("何？", "一。")


@pytest.mark.parametrize("draw", ["random", "stratified"])
def test_all_labels_come_up(shots, draw):
    drawn = shots(count=3, draw=draw, parts={"search": rows("search", 60)})
    seen = Counter(shot.label for item in drawn.order("search") for shot in drawn.of(item))
    if draw == "stratified":
        assert set(seen.values()) == {60}
    assert set(seen) == {0, 1, 2}


def test_the_settings_tell_other_rows_apart(shots):
    assert shots(count=3).settings == shots(count=3).settings
    assert shots(count=3).settings != shots(count=3, pool=rows("shot", 19)).settings
    assert set(shots(count=3).settings) == {"count", "draw", "seed", "rows"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 21}, r"21 shots must be drawn .*toy has 20; set task\.items\.shots, task\.shot"),
        ({"count": -1}, r"from 0 on, got -1; set task\.shots\.count"),
        ({"count": True}, r"got True; set task\.shots\.count"),
        ({"count": 3, "seed": 0.5}, r"got 0\.5; set task\.shots\.seed"),
        ({"count": 3, "draw": "last"}, r"random, stratified, first, got last; set task\.shots\.dr"),
        ({"count": 1, "without": "x"}, "without must be a list of texts, got 'x'"),
        ({"count": 1, "without": [5]}, r"without must be a list of texts, got \[5\]"),
        ({"count": 1, "rows": {"question": "a"}}, r"rows must be a list of mappings .*got .'quest"),
        ({"count": 1, "rows": ["a"]}, r"rows must be a list of mappings .*; set task\.shots\.rows"),
        (
            {"count": 1, "rows": [{"question": "a", "answer_number": 10**400}]},
            "answer_number of the item shot-0 of toy must be a finite number",
        ),
        (
            {"count": 1, "draw": "stratified", "rows": [{"question": "a", "answers": ["b"]}]},
            r"must have labels; set task\.shots\.draw=random",
        ),
    ],
)
def test_what_cannot_be_drawn_names_the_option(shots, options, message):
    with pytest.raises(ConfigError, match=message):
        shots(**options)
