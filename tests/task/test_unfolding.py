import pytest

from evoforge.errors import ConfigError
from evoforge.task.unfolding import check_unfold, unfolded

ROW = {
    "id": "a",
    "image": "x",
    "qas": [{"question": "q1", "answer": "1"}, {"question": "q2", "answer": "2"}],
    "_line": 3,
}


def unfold(*rows, given="qas"):
    return unfolded(rows, given, "f.jsonl", "task.items.test.unfold")


def test_each_entry_is_a_row_with_the_rest_of_its_row():
    assert unfold(ROW) == [
        {"id": "a-1", "image": "x", "question": "q1", "answer": "1", "_line": 3, "_entry": 1},
        {"id": "a-2", "image": "x", "question": "q2", "answer": "2", "_line": 3, "_entry": 2},
    ]


def test_at_most_so_many_entries_of_each_row_count():
    found = unfold(ROW, {**ROW, "id": "b"}, given={"list": "qas", "most": 1})
    assert [(row["id"], row["question"]) for row in found] == [("a-1", "q1"), ("b-1", "q1")]


def test_lists_of_older_data_sets_are_mappings_of_lists():
    old = {**ROW, "qas": {"question": ["q1", "q2"], "answer": ["1", "2"]}}
    assert unfold(old) == unfold(ROW)


def test_a_row_that_asks_something_itself_is_one_row():
    flat = {"id": "b", "question": "q"}
    assert [row["question"] for row in unfold(flat, ROW)] == ["q", "q1", "q2"]


def test_a_row_with_an_empty_list_is_left_out():
    assert len(unfold({**ROW, "qas": []}, ROW)) == 2


@pytest.mark.parametrize(
    "qas",
    [
        *(None, "text", ["text"], 3),
        *({"question": ["q1", "q2"], "answer": ["1"]}, {"question": "q1", "answer": "1"}),
        {"question": ["q1"], "answer": 1},
    ],
)
def test_a_row_without_the_list_is_named(qas):
    with pytest.raises(ConfigError, match=r"f\.jsonl, line 3: qas must be a list of objects, got"):
        unfold({**ROW, "qas": qas})


def test_rows_without_any_entry_are_refused():
    with pytest.raises(ConfigError, match=r"no row of f\.jsonl has an entry in qas; set task\.ite"):
        unfold({**ROW, "qas": []})


@pytest.mark.parametrize("given", [None, "qas", {"list": "qas"}, {"list": "qas", "most": 2}])
def test_what_can_be_unfolded(given):
    check_unfold(given, "task.items.test.unfold")


@pytest.mark.parametrize(
    "given", [3, {"most": 1}, {"list": "qas", "most": 0}, {"list": "qas", "first": 1}, ["qas"]]
)
def test_what_cannot_be_unfolded_names_the_option(given):
    with pytest.raises(
        ConfigError, match=r"unfold must be a key, or \{list, most\} .*test\.unfold"
    ):
        check_unfold(given, "task.items.test.unfold")
