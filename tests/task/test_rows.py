import json

import pytest

from evoforge.errors import ConfigError
from evoforge.task.rows import check_row, read

ROW = {"id": "a", "question": "1+1=", "answer_number": 2}


@pytest.fixture
def file(tmp_path):
    """Return what writes a file of given text, bytes or rows, and its path."""

    def write(content):
        path = tmp_path / "x.jsonl"
        if isinstance(content, list):
            content = "\n".join(json.dumps(row, ensure_ascii=False) for row in content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_rows_without_an_id_are_called_by_file_and_line(file):
    rows = read(file([{"question": "a"}, {"question": "b", "id": "mine"}]), "t/x")
    assert [row["id"] for row in rows] == ["t/x-1", "mine"]


def test_a_byte_order_mark_is_no_part_of_the_first_row(file):
    assert read(file(b"\xef\xbb\xbf" + b'{"question": "a"}'), "x")[0]["question"] == "a"


def test_a_line_separator_inside_a_text_does_not_end_the_line(file):
    rows = read(file('{"question": "a\u2028b\x85c"}\r\n\n{"question": "d"}'), "x")
    assert [row["question"] for row in rows] == ["a\u2028b\x85c", "d"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"question": "a"}\n{"question": ', r"x\.jsonl, line 2 is not JSON: Expect"),
        ("[1, 2]", r"x\.jsonl, line 1 is not an object but a list; write one object a line"),
        ('[\n{"question": "a"}\n]', r"line 1 is not JSON: .*; write one object a line, not a list"),
        ("null", r"x\.jsonl, line 1 is not an object but null; write one object"),
        ('"text"', r"x\.jsonl, line 1 is not an object but a text; write one object"),
        ("", r"x\.jsonl is empty; write one object a line, such as \{.question"),
        ("\n \n", r"x\.jsonl is empty; write one object a line"),
        ("[" * 100_000, r"x\.jsonl, line 1 is not JSON: maximum recursion depth"),
        (
            '{"question": "a\\ud83d\\ude00"}\n{"question": "a\\ud83d"}',
            r"x\.jsonl, line 2 holds '\\ud83d', half of a character; write the character itself",
        ),
        (b'{"question": "a"}\n\xff\xfe', r"x\.jsonl is not UTF-8 text: .* in line 2; save it as U"),
        (
            '{"id": "q"}\n{"id": "p"}\n{"id": "q"}',
            r"x\.jsonl, line 3 has the id q, as .*x\.jsonl, line 1 has; give each row another id",
        ),
    ],
)
def test_a_file_that_is_no_list_of_rows_is_named_with_what_to_do(file, content, message):
    with pytest.raises(ConfigError, match=message):
        read(file(content), "x")


def test_a_missing_file_names_the_option(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*y\.jsonl .*; set task\.file"):
        read(tmp_path / "y.jsonl", "y", "task.file")


@pytest.mark.parametrize(
    "given",
    [
        {"answer_number": 0},
        {"answer_number": None, "answers": ["2"]},
        {"answer_number": None, "answers": [2, 2.5]},
        {"answer_number": None, "choices": ["a", "b"], "label": 1},
        {"id": 7, "context": "c", "label": "free text"},
    ],
)
def test_rows_that_say_enough_are_taken(given):
    check_row({**ROW, **given}, "f, line 1")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"question": None}, "f, line 1: question must be a text that is not empty, got None"),
        ({"question": " "}, "question must be a text that is not empty, got ' '"),
        ({"question": 3}, "question must be a text that is not empty, got 3"),
        ({"answer_number": None}, "f, line 1 has no answer; give it answers, answer_number, or"),
        ({"answer_number": "2"}, "answer_number must be a number, got '2'; write it without quot"),
        ({"answer_number": True}, "answer_number must be a number, got True"),
        ({"answer_number": float("nan")}, "answer_number must be finite, got nan"),
        ({"answer_number": 10**400}, "answer_number must be finite, got 10000"),
        ({"known": 5}, "known must be a text or a list of texts, got 5"),
        ({"answers": "2"}, r"answers must be a list of texts that .*, such as \[.2.\], got '2'"),
        ({"answers": [None]}, r"answers must be a list of texts .*, got \[None\]"),
        ({"answers": [" "]}, r"answers must be a list of texts that are not empty, .*, got"),
        (
            {"choices": ["a"], "label": 0},
            "choices must be a list of two texts or more, .* got .'a'.",
        ),
        (
            {"choices": "ab", "label": 0},
            "choices must be a list of two texts or more, .*, got 'ab'",
        ),
        ({"choices": ["a", " "], "label": 0}, "two texts or more, none empty, got"),
        ({"choices": ["1", 1], "label": 0}, r"choices must differ, got .'1', 1."),
        ({"choices": ["a", "b"], "label": "1"}, "label must be the place .* 2 choices, .* got '1'"),
        ({"choices": ["a", "b"], "label": 2}, "label must be the place .* from 0 on, got 2"),
        ({"choices": ["a", "b"], "label": True}, "label must be the place .*, got True"),
        ({"choices": ["a", "b"]}, "label must be the place .*, got None"),
        ({"context": 3}, "context must be a text, got 3"),
        ({"id": None}, "id must be a text or a number, got None"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_what_must_hold(given, message):
    with pytest.raises(ConfigError, match=message):
        check_row({**ROW, **given}, "f, line 1")


def test_a_row_without_a_question_is_named():
    with pytest.raises(ConfigError, match="f, line 1: question must be .*, but the row has none"):
        check_row({"id": "a", "answer_number": 2}, "f, line 1")
