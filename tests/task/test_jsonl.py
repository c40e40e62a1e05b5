import json
import os
from pathlib import Path

import pytest

from evoforge.config import build
from evoforge.errors import ConfigError
from evoforge.task.jsonl import JsonLines
from tests.task.conftest import png

DATA = Path(os.environ.get("EVOFORGE_DATA_DIR", "nowhere"))
needs_data = pytest.mark.skipif(
    not (DATA / "mgsm").is_dir(), reason="EVOFORGE_DATA_DIR names no folder with mgsm/"
)
ROWS = [{"question": f"q{i}", "answer_number": i, "good": i % 2 == 0} for i in range(6)]


@pytest.fixture
def source(tmp_path):
    """Return a maker of sources over one file of six rows, or of others."""

    def make(rows=ROWS, **parts):
        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (tmp_path / "x.jsonl").write_text(lines, "utf-8")
        whole = {"file": "x.jsonl"}
        given = {"search": whole, "select": whole, "test": whole, **parts}
        return JsonLines(folder=str(tmp_path), **given)

    return make


def questions(made, part="search"):
    return [row["question"] for row in made.rows(part)]


def test_rows_come_in_order_with_an_id_each(source):
    rows = source().rows("search")
    assert [row["question"] for row in rows] == ["q0", "q1", "q2", "q3", "q4", "q5"]
    assert rows[2]["id"] == "x-3"
    assert set(rows[2]) == {"id", "question", "answer_number", "good"}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"where": {"good": True}, "skip": 1, "take": 1}, ["q2"]),
        ({"skip": 4}, ["q4", "q5"]),
        ({"skip": 1, "take": -3}, ["q1", "q2"]),
        ({"skip": -2}, ["q4", "q5"]),
        ({"take": None, "skip": None}, ["q0", "q1", "q2", "q3", "q4", "q5"]),
    ],
)
def test_where_skip_and_take_choose_rows(source, options, wanted):
    assert questions(source(search={"file": "x.jsonl", **options})) == wanted


def test_a_seed_shuffles_the_same_way_every_time(source):
    part = {"file": "x.jsonl", "shuffle": 3}
    first = questions(source(search=part))
    assert first == questions(source(search=part))
    assert sorted(first) == [f"q{i}" for i in range(6)] != first


def test_two_parts_of_one_shuffled_file_share_nothing(source):
    made = source(
        search={"file": "x.jsonl", "shuffle": 3, "skip": 2},
        select={"file": "x.jsonl", "shuffle": 3, "take": 2},
    )
    assert sorted(questions(made) + questions(made, "select")) == [f"q{i}" for i in range(6)]


def test_rows_of_another_part_can_be_left_out(source):
    made = source(
        search={"file": "x.jsonl", "without": ["test"]}, test={"file": "x.jsonl", "take": 4}
    )
    assert questions(made) == ["q4", "q5"]


def test_rows_get_the_name_that_the_same_problem_has_elsewhere(source):
    rows = [{"question": "a", "answer_number": 1, "gsm8k_index": 5}]
    part = {"file": "x.jsonl", "known": "gsm8k/test/{gsm8k_index}"}
    assert source(rows, search=part).rows("search")[0]["known"] == ["gsm8k/test/5"]


def test_a_task_without_shots_has_no_rows_for_them(source):
    assert source().rows("shots") == []


def test_shots_are_rows_of_their_own(source):
    half, rest = {"file": "x.jsonl", "take": 3}, {"file": "x.jsonl", "skip": 3}
    made = source(search=half, select=half, test=half, shots=rest)
    assert questions(made, "shots") == ["q3", "q4", "q5"]


def test_shots_that_are_items_too_are_refused(source):
    half, rest = {"file": "x.jsonl", "take": 3}, {"file": "x.jsonl", "skip": 2}
    made = source(search=half, select=half, test=half, shots=rest)
    with pytest.raises(ConfigError, match="x-3 of the shots part asks the same as x-3 of the sea"):
        made.rows("shots")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"file": "x.jsonl", "limit": 3}, r"search must have file, where.*set task.items.search"),
        ({"skip": 3}, "search must have file, .* at least., got skip"),
        (
            {"file": "x.jsonl", "take": "3"},
            "take must be a whole number or null, got '3'; set task",
        ),
        (
            {"file": "x.jsonl", "take": 0},
            r"skip and take leave no row of .*x\.jsonl; set task.item",
        ),
        ({"file": "x.jsonl", "skip": 6}, "skip and take leave no row of"),
        ({"file": "x.jsonl", "where": {"good": 3}}, r"no row of .*x\.jsonl has \{'good': 3\}; set"),
        (
            {"file": "x.jsonl", "where": "good"},
            "where must be a mapping, got 'good'; set task.items",
        ),
        (
            {"file": "x.jsonl", "without": ["dev"]},
            r"without must be a list of other parts \(select",
        ),
        (
            {"file": "x.jsonl", "known": "{no}"},
            "known must be a text with keys .* fit .*line 1; set",
        ),
    ],
)
def test_a_choice_of_rows_that_cannot_be_is_named(source, part, message):
    with pytest.raises(ConfigError, match=message):
        source(search=part).rows("search")


def test_a_row_that_cannot_be_used_is_named_by_file_and_line(source):
    with pytest.raises(ConfigError, match=r"x\.jsonl, line 2 has no answer"):
        source([ROWS[0], {"question": "?"}]).rows("search")


def test_a_missing_file_names_the_option(source):
    with pytest.raises(ConfigError, match=r"cannot read .*y\.jsonl .*; set data_dir"):
        source(test={"file": "y.jsonl"}).rows("test")


def test_no_folder_and_no_data_set_names_the_option():
    part = {"file": "x.jsonl"}
    with pytest.raises(ConfigError, match=r"set data_dir to the folder that holds x\.jsonl"):
        JsonLines(folder=None, search=part, select=part, test=part)


@needs_data
def test_mgsm_ja_has_the_real_items_in_disjoint_parts(compose):
    task = build(compose("task=mgsm_ja", f"data_dir={DATA}")["task"], "task")
    assert [len(task.items(part)) for part in ("search", "select", "test")] == [6626, 500, 250]
    first = task.items("test")[0]
    assert first.answer_number == 18
    assert first.question in task.request(first).context.text


@needs_data
def test_problems_of_the_test_in_another_language_are_refused(compose):
    search = "task.items.search={file: gsm8k/test.jsonl, where: null, skip: 0, take: 250}"
    with pytest.raises(
        ConfigError,
        match=r"mgsm_ja-test-0000, .* and 245 more of the test part ask the same as gsm8k-test-0000"
        r".* of the search part .gsm8k/test/0.; .*set task.items.search",
    ):
        build(compose("task=mgsm_ja", f"data_dir={DATA}", search)["task"], "task")


@pytest.fixture
def seen(tmp_path):
    """Return a maker of sources over files in a folder beside a folder of pictures."""
    (tmp_path / "vqa").mkdir()
    (tmp_path / "pictures").mkdir()
    for colour in ("red", "blue"):
        (tmp_path / "pictures" / f"{colour}.png").write_bytes(png(colour))
        (tmp_path / "vqa" / f"{colour}.png").write_bytes(png(colour, (3, 3)))

    def make(rows, **part):
        path = tmp_path / "vqa" / "x.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        whole = {"file": "vqa/x.jsonl", **part}
        return JsonLines(folder=str(tmp_path), search=whole, select=whole, test=whole)

    return make


ASKED = {"question": "q", "answer": "a"}
BLUE = png("blue", (3, 3))


@pytest.mark.parametrize(
    ("path", "size"), [("pictures/red.png", 2), ("red.png", 3), ("../pictures/red.png", 2)]
)
def test_a_pictures_path_is_from_the_files_folder_or_the_data_folder(seen, path, size):
    (row,) = seen([{**ASKED, "image": path}]).rows("test")
    assert row["image"].image().size == (size, size)
    assert row["answers"] == ["a"]


def test_a_pattern_says_where_the_pictures_are(seen):
    (row,) = seen([{**ASKED, "c": "blue"}], image="pictures/{c}.png").rows("test")
    assert row["image"].read() == png("blue")


def test_a_missing_picture_is_named_with_its_line(seen):
    rows = [{**ASKED, "image": "red.png"}, {**ASKED, "image": "green.png"}]
    with pytest.raises(ConfigError, match=r"x\.jsonl, line 2: cannot read .*vqa/green\.png: No su"):
        seen(rows).rows("test")


def test_pictures_of_rows_that_are_not_taken_are_not_read(seen):
    rows = [{**ASKED, "image": "red.png"}, {**ASKED, "image": "green.png"}]
    assert len(seen(rows, take=1).rows("test")) == 1


def test_rows_of_one_picture_are_unfolded_after_they_are_counted(seen):
    qas = [{"question": f"q{i}", "answer": f"a{i}"} for i in range(3)]
    rows = [{"image": "red.png", "qas": qas}, {"image": "blue.png", "qas": qas}]
    found = seen(rows, take=1, unfold={"list": "qas", "most": 2}).rows("test")
    assert [(row["id"], row["question"]) for row in found] == [
        ("vqa/x-1-1", "q0"),
        ("vqa/x-1-2", "q1"),
    ]
    assert found[0]["image"] is found[1]["image"]
    assert set(found[0]) == {"id", "question", "answer", "answers", "image"}


def test_an_entry_may_name_a_picture_of_its_own(seen):
    rows = [{"image": "red.png", "qas": [ASKED, {**ASKED, "image": "blue.png"}]}]
    first, second = seen(rows, unfold="qas").rows("test")
    assert (first["image"].read(), second["image"].read()) == (png("red", (3, 3)), BLUE)
    rows = [{"qas": [{**ASKED, "image": "green.png"}]}]
    with pytest.raises(ConfigError, match=r"x\.jsonl, line 1, entry 1: cannot read .*green"):
        seen(rows, unfold="qas").rows("test")


def test_a_picture_may_be_known_by_its_path(seen):
    (row,) = seen([{**ASKED, "image": "red.png"}], known="vg/{image}").rows("test")
    assert row["known"] == ["vg/red.png"]


def test_an_entry_that_cannot_be_used_is_named(seen):
    rows = [{"image": "red.png", "qas": [ASKED, {"question": "q"}]}]
    with pytest.raises(ConfigError, match=r"x\.jsonl, line 1, entry 2 has no answer"):
        seen(rows, unfold="qas").rows("test")


def test_without_leaves_out_the_pictures_of_other_parts(seen, tmp_path):
    made = seen([{**ASKED, "image": "red.png"}, {**ASKED, "image": "blue.png"}])
    whole = {"file": "vqa/x.jsonl"}
    search = {**whole, "without": ["test"]}
    made = JsonLines(folder=str(tmp_path), search=search, select=whole, test={**whole, "take": 1})
    # Both ask the same; the pictures tell them apart.
    assert [row["id"] for row in made.rows("search")] == ["vqa/x-2"]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"unfold": 3}, r"unfold must be a key, .*; set task\.items\.search\.unfold"),
        ({"image": 3}, r"image must be a text such as .*; set task\.items\.search\.image"),
        ({"known": 3}, r"known must be a text such as .*; set task\.items\.search\.known"),
    ],
)
def test_options_of_pictures_are_checked(seen, part, message):
    with pytest.raises(ConfigError, match=message):
        seen([ASKED], **part)
