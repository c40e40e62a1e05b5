import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer._grid import (
    archive,
    cells_of,
    checked_bins,
    checked_ranges,
    metrics,
    telling,
)

MEASURES = np.array([[0.0, 10.0], [0.9, 10.0], [0.99, 30.0], [0.95, 30.0]])
VALUES = np.array([0.1, 0.2, 0.3, 0.4])


def found(ranges, bins=4):
    return archive("fitness", ranges, bins, VALUES, MEASURES, np.array([5, 6, 7, 8]))


def test_each_cell_keeps_its_best():
    kept = found({"a": None, "b": None})
    # 0.9 and 0.99 of 0.99 are both in the last of four cells.
    assert kept.cells.tolist() == [[0, 0], [3, 0], [3, 3]]
    assert kept.places.tolist() == [5, 6, 8]
    assert kept.coverage == 3 / 16


def test_ranges_are_learned_or_given():
    kept = found({"a": (0.0, 2.0), "b": None})
    assert kept.low.tolist() == [0.0, 10.0]
    assert kept.high.tolist() == [2.0, 30.0]
    # 0.9 to 0.99 of 2 are in the second of four.
    assert kept.cells.tolist() == [[0, 0], [1, 0], [1, 3]]


def test_what_lies_outside_falls_into_the_outermost_cells():
    cells = cells_of(np.array([[-5.0], [0.49], [7.0]]), np.zeros(1), np.ones(1), 2)
    assert cells.tolist() == [[0], [0], [1]]


def test_an_axis_without_a_range_is_one_cell():
    assert cells_of(np.full((3, 1), 2.0), np.full(1, 2.0), np.full(1, 2.0), 5).tolist() == [[0]] * 3


def test_of_equals_the_first_stays():
    kept = archive("q", {"a": None}, 2, np.ones(2), np.zeros((2, 1)), np.array([3, 4]))
    assert kept.places.tolist() == [3]


def test_the_score_is_the_sum_above_a_floor():
    # 0.1 + 0.2 + 0.4, each less 0.1.
    assert found({"a": None, "b": None}).score(0.1) == pytest.approx(0.4)


def test_facts_say_where_and_who():
    facts = found({"a": None, "b": (0.0, 40.0)}).facts(np.array([50, 60, 80]))
    assert facts["axes"][1] == {"name": "b", "low": 0.0, "high": 40.0}
    assert facts["cells"] == [[[0, 1], 0.1, 50], [[3, 1], 0.2, 60], [[3, 3], 0.4, 80]]


@pytest.mark.parametrize("bins", [1, 0, 2.5, True])
def test_a_grid_of_one_cell_is_refused(bins):
    with pytest.raises(ConfigError, match=rf"at least 2, got {bins}; set optimizer\.bins"):
        checked_bins(bins)


@pytest.mark.parametrize("given", [[1, 0], [1], 3, "ab", [0.5, 0.5]])
def test_a_range_that_makes_no_sense_names_the_measure(given):
    with pytest.raises(ConfigError, match=r"set optimizer\.measures\.acc"):
        checked_ranges({"acc": given})


def test_no_measure_at_all_is_refused():
    with pytest.raises(ConfigError, match=r"set optimizer\.measures"):
        checked_ranges({})


def test_metrics_are_what_a_task_is_about():
    given = dict.fromkeys(["fitness", "tokens", "acc", "ja/acc", "over_length"], np.ones(1))
    assert metrics(given) == ["acc"]


def test_the_main_metric_and_what_is_the_same_for_all_tell_nothing():
    fitness = np.array([0.5, -np.inf, 0.25])
    given = {
        "main": np.array([0.5, np.nan, 0.25]),
        "loss": np.array([-0.5, np.nan, -0.25]),
        "same": np.array([1.0, np.nan, 1.0]),
        "other": np.array([0.1, np.nan, 0.9]),
    }
    assert telling(list(given), given, fitness) == ["other"]


@pytest.mark.parametrize(("axes", "bins"), [("a", 10), ("ab", 5), ("abc", 5)])
def test_the_more_axes_the_coarser_is_a_grid_left_to_itself(axes, bins):
    kept = archive(
        "q", dict.fromkeys(axes), None, np.ones(2), np.eye(3)[:2, : len(axes)], np.arange(2)
    )
    assert kept.bins == bins
    assert kept.coverage == 2 / bins ** len(axes)
