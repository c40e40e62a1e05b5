import json

import pytest

from evoforge.errors import ConfigError
from evoforge.task.rows import read


@pytest.fixture
def rows(tmp_path):
    """Return what reads a text as a file of a name: `rows("a.csv", text)`."""

    def read_(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8", newline="")
        return read(path, "x", "task.file")

    return read_


def test_a_csv_file_has_a_head_and_a_row_a_line(rows):
    found = rows("a.csv", 'question,answer,image\r\n"a, ""b""?",x,1.png\r\n何?,y,\r\n')
    assert found == [
        {"id": "x-2", "question": 'a, "b"?', "answer": "x", "image": "1.png", "_line": 2},
        {"id": "x-3", "question": "何?", "answer": "y", "_line": 3},
    ]


def test_numbers_and_lists_of_a_csv_file_are_read_as_such(rows):
    head = "id,question,answer_number,label,choices\n"
    (row,) = rows("a.csv", head + 'q7,1,2.5,0,"[""a"", ""b""]"\n')
    assert (row["id"], row["question"]) == ("q7", "1")
    assert (row["answer_number"], row["label"], row["choices"]) == (2.5, 0, ["a", "b"])


def test_texts_may_begin_with_a_bracket(rows):
    (row,) = rows("a.csv", 'question,answer,answers\n[1] what?,[see] that,"[""b""]"\n')
    assert (row["question"], row["answer"], row["answers"]) == ("[1] what?", "[see] that", ["b"])


def test_an_ending_may_be_in_capitals(rows):
    assert rows("A.CSV", "question\na\n")[0]["question"] == "a"
    assert rows("A.JSON", '[{"question": "a"}]')[0]["question"] == "a"


def test_a_cell_of_several_lines_and_odd_line_ends_is_one(rows):
    found = rows("a.csv", 'question,answer\n"a\nb\u2028c",x\nd,y\n')
    assert [row["question"] for row in found] == ["a\nb\u2028c", "d"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("question,answer\na\n", r"a\.csv, line 2 must have 2 cells, as the first line has"),
        ("question,answer\na,b,c\n", r"a\.csv, line 2 must have 2 cells"),
        ("question,answer_number\na,two\n", r"line 2: answer_number cannot be read, got 'two'"),
        ("question,choices\na,[1\n", r"line 2: choices cannot be read, got '\[1'"),
        ('question,answer\n"a"b,c\n', r"a\.csv, line 2 is not CSV: "),
        ("question,answer\n", r"a\.csv is empty"),
        ("image,question,image\n1.png,a,2.png\n", r"a\.csv has two columns 'image'; take one out"),
    ],
)
def test_a_csv_file_that_cannot_be_read_is_named_with_its_line(rows, text, message):
    with pytest.raises(ConfigError, match=message):
        rows("a.csv", text)


def test_one_list_in_a_json_file_is_its_rows(rows):
    found = rows("a.json", json.dumps([{"question": "a"}, {"id": 3, "question": "b"}], indent=1))
    assert [(row["id"], row["question"]) for row in found] == [("x-1", "a"), (3, "b")]


def test_a_json_file_may_have_an_object_a_line(rows):
    assert len(rows("a.json", '{"question": "a"}\n{"question": "b"}\n')) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", r"a\.json must be a list of objects, one for each row"),
        ("[{]", r"a\.json is not JSON: "),
        ("[]", r"a\.json is empty"),
    ],
)
def test_a_json_file_that_holds_no_rows_is_named(rows, text, message):
    with pytest.raises(ConfigError, match=message):
        rows("a.json", text)
