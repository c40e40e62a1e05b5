import json

import datasets
import pytest

from evoforge.config import build
from evoforge.errors import ConfigError
from evoforge.task.generation import Generation
from evoforge.task.multiple_choice import MultipleChoice
from evoforge.task.own import own_task
from tests.task.conftest import COLOURS, png

PARTS = ("search", "select", "test")
NUMBERS = [{"question": f"{i}+1=", "answer_number": i + 1} for i in range(20)]
CHOICES = [{"question": f"q{i}", "choices": ["a", "b"], "label": i % 2} for i in range(20)]
TEXTS = [{"question": f"q{i}", "answers": [f"t{i}"], "context": f"c{i}"} for i in range(20)]


@pytest.fixture
def file(tmp_path):
    """Return what writes rows into a file of a name, and its path."""

    def write(rows, name="mine.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(json.dumps(row) for row in rows))
        return str(path)

    return write


def test_one_file_is_split_by_shares_into_parts_that_share_nothing(file):
    task = own_task(file=file(NUMBERS))
    ids = {part: [item.id for item in task.items(part)] for part in PARTS}
    assert {part: len(found) for part, found in ids.items()} == {
        "search": 10,
        "select": 4,
        "test": 6,
    }
    assert len(set().union(*ids.values())) == 20
    assert task.name == "mine"


def test_the_split_is_the_seeds(file):
    path = file(NUMBERS)
    first, again, other = (own_task(file=path, seed=seed) for seed in (1, 1, 2))
    assert first.items("test") == again.items("test") != other.items("test")


def test_what_asks_the_same_stays_in_one_part(file):
    task = own_task(file=file([*NUMBERS, *NUMBERS]))
    assert sum(len(task.items(part)) for part in PARTS) == 40


def test_every_part_gets_an_item_of_a_small_file(file):
    task = own_task(file=file(NUMBERS[:3]), shares={"search": 0.98, "select": 0.01, "test": 0.01})
    assert [len(task.items(part)) for part in PARTS] == [1, 1, 1]


@pytest.mark.parametrize(
    ("rows", "kind", "metric", "text"),
    [
        (NUMBERS, Generation, "acc", "Question: 0+1=\nAnswer:"),
        (TEXTS, Generation, "exact_match", "c0\n\nQuestion: q0\nAnswer:"),
        (CHOICES, MultipleChoice, "acc", "Question: q0\nAnswer:"),
    ],
)
def test_the_rows_choose_the_kind(file, rows, kind, metric, text):
    task = own_task(file=file(rows))
    assert (type(task), task.metric) == (kind, metric)
    items = [item for part in PARTS for item in task.items(part)]
    first = next(item for item in items if item.id == "mine-1")
    assert task.request(first).context.text == text


def test_a_kind_prompt_and_options_may_be_given(file):
    both = [{**row, "answers": ["a"]} for row in CHOICES]
    options = {"max_new_tokens": 7}
    task = own_task(file=file(both), kind="generation", prompt="Q {question}", options=options)
    request = task.request(task.items("test")[0])
    assert request.context.text.startswith("Q q")
    assert request.max_new_tokens == 7


def test_three_files_are_the_parts_even_with_equal_names(file):
    files = {p: file(NUMBERS[2 * i : 2 * i + 2], f"{p}/x.jsonl") for i, p in enumerate(PARTS)}
    task = own_task(files=files)
    assert [item.id for item in task.items("select")] == ["select-x-1", "select-x-2"]


def test_the_command_line_says_it_all(file, compose):
    task = build(compose("task=jsonl", f"task.file={file(NUMBERS)}")["task"], "task")
    assert task.items("search")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "task=jsonl reads a file of yours; set task.file to one that is split, or task.files"),
        ({"files": {"search": "x"}}, "task=jsonl reads a file of yours; set task.file"),
        ({"file": "/no/x.jsonl"}, r"cannot read /no/x\.jsonl .*; set task\.file"),
        ({"file": "x", "files": {"test": "y"}}, "one file or three are read, not both; set task"),
        ({"shares": {"search": 1}}, "shares must be numbers above 0 for search, select, test, got"),
        (
            {"shares": {"search": 1, "select": 0, "test": 1}},
            "shares must be numbers above 0 .*; set task.shares",
        ),
        (
            {"options": {"max_tokens": 3}},
            "has the options prompt, .*, got max_tokens; set task.opt",
        ),
        (
            {"kind": "multiple_choice"},
            r"have no kind of answer in common \(choices\): line 1 has no",
        ),
        ({"kind": "foo"}, r"one of auto, generation, multiple_choice, got foo; set task\.kind"),
        (
            {"shares": {"search": float("inf"), "select": 1, "test": 1}},
            "shares must be numbers above 0 .*; set task.shares",
        ),
        ({"options": {"max_new_tokens": 0}}, r"set task\.options\.max_new_tokens$"),
        ({"options": {"prompt": "no place"}}, r"set task\.prompt$"),
        ({"options": {"shots": {"count": 1}}}, r"; set task\.options\.shots\.rows or task\.op"),
    ],
)
def test_what_cannot_be_a_task_is_one_sentence(file, options, message):
    given = (
        {"file": file(NUMBERS), **options}
        if set(options) & {"shares", "options", "kind"}
        else options
    )
    with pytest.raises(ConfigError, match=message):
        own_task(**given)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*NUMBERS, {"question": "?"}], r"mine\.jsonl, line 21 has no answer; give it answers"),
        (
            [*NUMBERS, CHOICES[0]],
            "rows of .* no kind of answer in common .*: line 21 has no answer_number",
        ),
        (NUMBERS[:2], "asks 2 different questions, too few for search, select and test; add rows"),
        ([*NUMBERS[:9], {"question": None, "answers": ["x"]}], "line 10: question must be a text"),
    ],
)
def test_rows_that_cannot_be_used_are_named(file, rows, message):
    with pytest.raises(ConfigError, match=message):
        own_task(file=file(rows))


def test_answers_of_several_lines_are_not_cut_after_the_first(file):
    rows = [{"question": f"q{i}", "answers": ["a\nb"]} for i in range(9)]
    assert own_task(file=file(rows)).settings["stop"] == ["### "]
    assert own_task(file=file(TEXTS)).settings["stop"] == ["\n"]


def test_one_label_in_a_whole_part_is_refused(file):
    rows = [{**row, "label": 0} for row in CHOICES]
    with pytest.raises(ConfigError, match=r"has the label 0 .*; set task\.file$"):
        own_task(file=file(rows))


PICTURES = [
    {"image": f"{colour}.png", "question": "何色?", "answer": f"{colour}です"} for colour in COLOURS
]


@pytest.fixture
def pictures(file, tmp_path):
    """Return the path of a file of questions on pictures beside it: `pictures(rows)`."""
    for colour in COLOURS:
        (tmp_path / f"{colour}.png").write_bytes(png(colour))
    return lambda rows=PICTURES, name="mine.jsonl": file(rows, name)


def test_rows_with_an_image_make_a_task_about_pictures(pictures):
    task = own_task(file=pictures())
    assert {part: len(task.items(part)) for part in PARTS} == {"search": 5, "select": 2, "test": 3}
    assert (type(task), task.metric) == (Generation, "rougel")
    first = next(i for part in PARTS for i in task.items(part) if i.id == "mine-1")
    assert first.answers == ("redです",)
    request = task.request(first)
    assert request.context.text == "<image>\nQuestion: 何色?\nAnswer:"
    assert request.picture.image().getpixel((0, 0)) == (255, 0, 0)
    assert request.stops.texts == ("\n",)


def test_the_papers_protocol_is_whole_on_ones_own_pictures(pictures):
    pytest.importorskip("fugashi")
    pytest.importorskip("neologdn")
    settings = own_task(file=pictures(), options={"protocol": "sakana"}).settings
    assert (settings["protocol"], settings["protocol_changed"]) == ("sakana_vlm", [])


def test_all_questions_on_one_picture_stay_in_one_part(pictures):
    twice = [{**row, "question": "何?"} for row in PICTURES]
    task = own_task(file=pictures([*PICTURES, *twice]))
    for part in PARTS:
        seen = [item.picture.digest for item in task.items(part)]
        assert all(seen.count(digest) == 2 for digest in seen)


@pytest.mark.parametrize("name", ["mine.csv", "mine.json", "mine.parquet"])
def test_files_of_other_kinds_do_as_well(pictures, tmp_path, monkeypatch, name):
    pictures()
    path = tmp_path / name
    if name.endswith("csv"):
        lines = [",".join(PICTURES[0]), *(",".join(row.values()) for row in PICTURES)]
        path.write_text("\n".join(lines))
    elif name.endswith("json"):
        path.write_text(json.dumps(PICTURES))
    else:
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        datasets.disable_progress_bars()
        rows = [{**row, "image": str(tmp_path / row["image"])} for row in PICTURES]
        made = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
        made.to_parquet(path)
    task = own_task(file=str(path))
    assert sum(len(task.items(part)) for part in PARTS) == 10
    assert len({item.picture.digest for part in PARTS for item in task.items(part)}) == 10


def test_choices_and_numbers_are_asked_about_pictures_too(pictures):
    numbers = [{**row, "answer": None, "answer_number": 1} for row in PICTURES]
    assert own_task(file=pictures(numbers)).metric == "acc"
    choices = [{**r, "choices": ["a", "b"], "label": i % 2} for i, r in enumerate(PICTURES)]
    task = own_task(file=pictures(choices), kind="multiple_choice", seed=1)
    assert task.request(task.items("test")[0]).picture is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": "none.png"}, r"mine\.jsonl, line 11: cannot read .*none\.png: No such file"),
        ({"image": "mine.jsonl"}, r"mine\.jsonl, line 11\) is no picture \(of no known format\)"),
        ({"image": 3}, r"mine\.jsonl, line 11: image must be a file or the bytes of one, got int"),
        ({"image": None}, r"mine\.jsonl, line 11 has no image, and other rows have; give all rows"),
        ({"answer": 3}, r"mine\.jsonl, line 11: answer must be a text, got 3; call it answer_num"),
        ({"answer": ""}, r"mine\.jsonl, line 11 has no answer; give it answers"),
        ({"question": "<image>?"}, "question of the item mine-11 holds <image>"),
    ],
)
def test_a_row_about_a_picture_that_cannot_be_used_is_named(pictures, tmp_path, change, message):
    (tmp_path / "new.png").write_bytes(png("purple"))
    row = {"image": "new.png", "question": "何?", "answer": "a", **change}
    with pytest.raises(ConfigError, match=message):
        own_task(file=pictures([*PICTURES, row]))


def test_too_few_pictures_cannot_be_split(pictures):
    with pytest.raises(ConfigError, match="shows 2 different pictures, too few for search, sele"):
        own_task(file=pictures([*PICTURES[:2], {**PICTURES[0], "question": "何?"}]))


def test_three_files_may_not_show_the_same_picture(pictures):
    parts = {"search": PICTURES[:3], "select": PICTURES[3:5], "test": PICTURES[2:3]}
    files = {part: pictures(rows, f"{part}.jsonl") for part, rows in parts.items()}
    with pytest.raises(ConfigError, match="test-1 of the test part shows the same picture as sear"):
        own_task(files=files)
