import json
import os
from pathlib import Path

import pytest

from evoforge.config import build
from evoforge.errors import ConfigError
from evoforge.task.jsonl import JsonLines

DATA = Path(os.environ.get("EVOFORGE_DATA_DIR", "nowhere"))
needs_data = pytest.mark.skipif(
    not (DATA / "mgsm").is_dir(), reason="EVOFORGE_DATA_DIR names no folder with mgsm/"
)


@pytest.fixture
def source(tmp_path):
    """Return a maker of sources over one file of six rows, or of given text."""

    def make(text=None, **parts):
        rows = [{"question": f"q{i}", "answer_number": i, "good": i % 2 == 0} for i in range(6)]
        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (tmp_path / "x.jsonl").write_text(lines if text is None else text, "utf-8")
        whole = {"file": "x.jsonl"}
        given = {"search": whole, "select": whole, "test": whole, **parts}
        return JsonLines(folder=str(tmp_path), **given)

    return make


def test_rows_come_in_order_with_an_id_each(source):
    rows = source().rows("search")
    assert [row["question"] for row in rows] == ["q0", "q1", "q2", "q3", "q4", "q5"]
    assert rows[2]["id"] == "x-3"


def test_where_skip_and_take_choose_rows(source):
    part = {"file": "x.jsonl", "where": {"good": True}, "skip": 1, "take": 1}
    assert [row["question"] for row in source(search=part).rows("search")] == ["q2"]


def test_an_id_of_the_row_is_kept(source):
    assert source('{"id": "mine", "question": "q"}').rows("test")[0]["id"] == "mine"


def test_a_line_separator_inside_a_text_does_not_end_the_line(source):
    rows = source('{"question": "a\u2028b\x85c"}\n\n{"question": "d"}').rows("test")
    assert [row["question"] for row in rows] == ["a\u2028b\x85c", "d"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"question": "a"}\n{"question": ', r"x\.jsonl, line 2 is not JSON"),
        ("[1, 2]", r"x\.jsonl, line 1 is not an object"),
    ],
)
def test_a_broken_line_is_named(source, text, message):
    with pytest.raises(ConfigError, match=message):
        source(text).rows("search")


def test_a_file_that_is_not_text_is_named(source, tmp_path):
    made = source()
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"x\.jsonl is not UTF-8 text"):
        made.rows("search")


def test_a_missing_file_names_the_option(source):
    with pytest.raises(ConfigError, match=r"cannot read .*y\.jsonl .*; set data_dir"):
        source(test={"file": "y.jsonl"}).rows("test")


def test_no_folder_names_the_option():
    part = {"file": "x.jsonl"}
    with pytest.raises(ConfigError, match=r"set data_dir to the folder that holds x\.jsonl"):
        JsonLines(folder=None, search=part, select=part, test=part)


def test_an_unknown_choice_of_rows_names_the_option(source):
    with pytest.raises(ConfigError, match=r"search must have file, where.*set task.items.search"):
        source(search={"file": "x.jsonl", "limit": 3})


@needs_data
def test_mgsm_ja_has_the_real_items_in_disjoint_parts(compose):
    task = build(compose("task=mgsm_ja", f"data_dir={DATA}")["task"], "task")
    assert [len(task.items(part)) for part in ("search", "select", "test")] == [6626, 500, 250]
    first = task.items("test")[0]
    assert first.answer_number == 18
    assert first.question in task.prompt(first)
