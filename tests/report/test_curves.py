from dataclasses import replace

import numpy as np
import pytest

from evoforge.report.curves import AXES, Curve, band, curve
from evoforge.report.history import histories


def stepping(x, best, *, finished=True):
    x, best = np.array(x, dtype=np.float64), np.array(best, dtype=np.float64)
    return Curve(best, x, 10 * x, x / 4, finished)


def test_a_curve_tells_what_was_spent_by_each_candidate(new_run):
    run = new_run()
    recipes = run.race([(8, 4, False), (8, 6, True), (12, 3, False)])
    run.test("finalist:search:1", recipes[0], [1.0] * 3, part="select")
    run.test("winner", recipes[0], [1.0] * 5)
    found = curve(run.record, histories(run.record))
    # Only the third answered all items of its generation; the proxy's are no answers of the task.
    assert np.isnan(found.best[:2]).all()
    assert found.best[2] == 0.25
    assert found.evaluations.tolist() == [1, 2, 3]
    assert found.items.tolist() == [8, 8, 20]
    # Each takes 0.05 + 0.4 + 0.01 seconds, a screening too.
    assert found.seconds == pytest.approx([0.46, 0.92, 1.38])
    assert not found.finished


def test_baselines_cost_a_search_nothing(complete):
    (history,) = stages = histories(complete.record)
    found = curve(complete.record, stages)
    asked = 40 * np.cumsum(~history.failed)
    assert found.items.tolist() == asked.tolist()
    assert found.finished


def test_what_was_spent_never_falls(walked):
    found = curve(walked.record, histories(walked.record))
    for axis in AXES:
        assert (np.diff(found.spent(axis)) >= 0).all()


def test_a_run_without_candidates_has_no_curve(new_run):
    run = new_run()
    assert curve(run.record, histories(run.record)) is None


def test_a_band_is_the_mean_and_the_range_where_any_curve_changes():
    one, other = stepping([1, 2, 3], [0.2, 0.4, 0.4]), stepping([1, 2, 3], [0.4, 0.4, 0.8])
    found = band([one, other], "evaluations")
    assert found.x.tolist() == [1, 2, 3]
    assert found.mean == pytest.approx([0.3, 0.4, 0.6])
    assert found.low == pytest.approx([0.2, 0.4, 0.4])
    assert found.high == pytest.approx([0.4, 0.4, 0.8])
    assert band([one, other], "items").x.tolist() == [10, 20, 30]


def test_a_finished_run_stays_and_an_unfinished_one_counts_as_far_as_it_got():
    long = stepping([1, 4], [0.2, 0.6])
    found = band([long, stepping([1, 2], [0.4, 0.8])], "evaluations")
    assert found.mean == pytest.approx([0.3, 0.5, 0.7])
    assert found.count.tolist() == [2, 2, 2]
    found = band([long, stepping([1, 2], [0.4, 0.8], finished=False)], "evaluations")
    assert found.mean == pytest.approx([0.3, 0.5, 0.6])
    assert found.count.tolist() == [2, 2, 1]


def test_a_band_begins_where_all_runs_have_a_score():
    late = stepping([1, 3, 4], [np.nan, 0.5, 0.5])
    found = band([stepping([1, 2, 4], [0.1, 0.3, 0.3]), late], "evaluations")
    assert found.x.tolist() == [3, 4]
    assert found.mean == pytest.approx([0.4, 0.4])


def test_of_candidates_at_one_place_the_last_counts():
    # Those that were cached cost nothing.
    found = band([stepping([1, 1, 2], [0.1, 0.2, 0.2])], "evaluations")
    assert found.mean == pytest.approx([0.2, 0.2])


def test_runs_without_a_score_leave_no_band():
    none = stepping([1, 2], [np.nan, np.nan])
    assert band([none], "seconds") is None
    assert band([], "seconds") is None
    one = stepping([1, 2], [0.1, 0.2])
    assert band([none, one], "seconds").mean == pytest.approx(band([one], "seconds").mean)


def test_a_long_curve_keeps_only_its_steps():
    x = np.arange(1, 10_001)
    found = band([replace(stepping(x, np.floor(x / 5000)), finished=True)], "evaluations")
    assert found.x.tolist() == [1, 5000, 10_000]
