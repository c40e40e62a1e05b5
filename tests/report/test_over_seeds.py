import pytest

from evoforge.errors import ConfigError
from evoforge.record import ItemResult
from evoforge.report.over_seeds import content, line, lines, markdown


def results(*scores):
    return [ItemResult(f"i{n}", score, {}, "", 1) for n, score in enumerate(scores)]


# Items are right in 2, 1 and 0 of two seeds: the mean of 1, 1/2 and 0 is one half.
def test_a_row_by_hand():
    row = line("PS", [results(1, 1, 0), results(1, 0, 0)])
    assert row.score == pytest.approx(0.5)
    assert row.seeds == pytest.approx((2 / 3, 1 / 3))
    assert [result.score for result in row.items] == [1.0, 0.5, 0.0]
    assert row.low <= row.score <= row.high


def test_the_table_compares_with_one_row_item_by_item():
    one, other = line("soup", [results(*[0] * 30)]), line("PS", [results(*[1] * 30)] * 3)
    text = markdown([one, other], against=other)
    rows = [row.strip("| ").split(" | ") for row in text.splitlines()]
    assert rows[0] == ["model", "test score (95 % interval)", "seeds", "minus PS"]
    assert rows[2][0] == "soup"
    assert rows[2][-1].startswith("-100.0 (")
    assert rows[3][:3] == ["PS", "100.0 (88.6 to 100.0)", "100.0, 100.0, 100.0"]


def test_runs_on_other_items_are_not_one_row():
    with pytest.raises(ConfigError, match="the runs of PS were tested on different items"):
        line("PS", [results(1, 0), results(1)])


def test_rows_come_from_finished_runs(walked):
    folders = {"PS+DFS": [walked.record.folder]}
    rows = lines(folders, {"ja": "ja (source)", "uniform_soup": "uniform soup"})
    assert [row.label for row in rows] == ["ja (source)", "uniform soup", "PS+DFS"]
    assert rows[0].paths == ()
    assert rows[2].paths[0].startswith("merged ")
    assert content(rows)[2]["paths"] == list(rows[2].paths)


def test_a_winner_whose_weights_were_merged_has_no_path(complete):
    (row,) = lines({"PS": [complete.record.folder]}, {})
    assert (row.label, row.paths) == ("PS", ())


def test_a_run_that_is_not_finished_is_named(new_run):
    run = new_run()
    with pytest.raises(ConfigError, match=r"is not finished; go on with resume="):
        lines({"PS": [run.record.folder]}, {})


def test_a_baseline_that_no_run_has_is_named(complete):
    with pytest.raises(ConfigError, match="no run has scored frankenmerge"):
        lines({"PS": [complete.record.folder]}, {"frankenmerge": "stack"})
