import pytest

from evoforge.errors import ConfigError
from evoforge.task.generation import Generation
from evoforge.task.metrics import last_number


class Items:
    def __init__(self, **rows):
        self.given = rows

    def rows(self, part):
        base = [{"id": f"{part}-1", "question": f"{part}?", "answer_number": 1}]
        return self.given.get(part, base)


def make(**rows):
    return Generation(name="toy", items=Items(**rows), prompt="{question}")


def test_one_id_in_two_parts_is_refused():
    first = [{"id": "1", "question": "a", "answer_number": 1}]
    other = [{"id": "1", "question": "b", "answer_number": 1}]
    with pytest.raises(ConfigError, match="id 1"):
        make(search=first, test=other)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("答えは18cm²です", 18),
        ("18㎡です", 18),
        ("したがって，１８円", 18),
        ("よって,18", 18),
        ("答えは…18", 18),
        ("答えは...18", 18),
        ("No.5", 5),
        (".5", 0.5),
        ("答えは-5です", -5),
        ("答えは−5です", -5),
        ("−5", -5),
        ("3,4", 4),
    ],
)
def test_robust_reads_as_a_reader_does(text, number):
    assert last_number(text) == number


def test_a_gold_number_that_is_none_is_named():
    with pytest.raises(ConfigError, match="x1"):
        make(search=[{"id": "x1", "question": "a", "answer_number": "1,234"}])


def test_one_answer_as_text_is_one_answer_or_refused():
    try:
        item = make(
            search=[{"id": "x1", "question": "a", "answers": "42", "answer_number": 42}]
        ).items("search")[0]
    except ConfigError:
        return
    assert item.answers == ("42",)


def test_a_single_stop_text_is_one_stop_or_refused():
    try:
        task = Generation(name="t", items=Items(), prompt="{question}", stop="END")
    except ConfigError:
        return
    assert task.request(task.items("test")[0]).stops.texts == ("END",)


def test_an_empty_stop_is_refused():
    with pytest.raises(ConfigError, match="stop"):
        Generation(name="t", items=Items(), prompt="{question}", stop=[""])
