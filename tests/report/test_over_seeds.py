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
    # Two seeds, 1/3 apart: s = 0.2357, over the root of 2.
    assert row.se_seeds == pytest.approx(1 / 6)
    assert row.low <= row.score <= row.high


def test_the_table_compares_with_one_row_item_by_item():
    one, other = line("soup", [results(*[0] * 30)]), line("PS", [results(*[1] * 30)] * 3)
    text = markdown([one, other], against=other)
    rows = [row.strip("| ").split(" | ") for row in text.splitlines()]
    assert rows[0] == ["model", "test score (95 % interval)", "seeds", "minus PS"]
    assert rows[2][0] == "soup"
    assert rows[2][-1].startswith("-100.0 (")
    assert rows[3][:3] == ["PS", "100.0 (88.6 to 100.0)", "100.0, 100.0, 100.0 (± 0.0)"]
    assert text.splitlines()[-1].startswith("Percent, on 30 test items, the same for all rows.")
    assert "± is the standard error of that mean over the seeds" in text


def test_figures_that_others_published_stand_beside_their_rows():
    rows = [line("PS", [results(1, 0)]), line("own", [results(1, 1)])]
    text = markdown(rows, against=rows[0], published={"paper": {"PS": "19.7"}})
    head, _, ps, own = text.splitlines()[:4]
    assert head.endswith(" minus PS | paper |")
    assert ps.endswith("|  | 19.7 |")
    assert own.endswith(") |  |")


def test_a_row_is_weighted():
    weights = {"i0": 0.8, "i1": 0.1, "i2": 0.1}
    row = line("PS", [results(1, 0, 0), results(0, 1, 1)], weights=weights)
    assert row.seeds == pytest.approx((0.8, 0.2))
    assert row.score == pytest.approx(0.5)
    other = line("soup", [results(0, 0, 0)], weights=weights)
    assert "| +50.0 (" in markdown([row, other], against=other)
    assert other.se_seeds is None


def judged(new_run, folder, *, protocol="p", count=4):
    run = new_run(folder)
    (recipe,) = run.race([(4, 2, False)])
    run.test("winner", recipe, [1.0, 0.0] * (count // 2))
    with run.journal.transaction():
        run.journal._connection.execute("UPDATE evaluations SET protocol=?", (protocol,))
        run.journal._connection.execute("UPDATE subjects SET protocol=?", (protocol,))
    run.journal.finish()
    return run.record.folder


def test_runs_of_another_protocol_are_refused(new_run):
    one, other = judged(new_run, "one"), judged(new_run, "other", protocol="q")
    wanted = r"not comparable: .*other was judged by the protocol q, .*one by p"
    with pytest.raises(ConfigError, match=wanted):
        lines({"PS": [one], "DFS": [other]}, {})


def test_runs_of_other_test_items_are_refused(new_run):
    one, other = judged(new_run, "one"), judged(new_run, "other", count=6)
    with pytest.raises(ConfigError, match="not comparable: .* other items"):
        lines({"PS": [one], "DFS": [other]}, {})


def test_the_table_names_its_protocol(complete):
    text = markdown(lines({"PS": [complete.record.folder]}, {}), against=None)
    assert "judged by mgsm_ja" in text


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
