import numpy as np
import pytest

from evoforge.pareto import copies, crowding, hypervolume, knee, ranks, scaled, spread

# Three on the front, two behind it, one behind all.
POINTS = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [1.0, 1.0], [2.0, 1.0], [0.0, 0.0]])


def test_ranks_count_fronts_from_the_best():
    assert ranks(POINTS).tolist() == [0, 0, 0, 2, 1, 3]


def test_equals_are_on_one_front():
    assert ranks(np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 1.0]])).tolist() == [0, 0, 0]


def test_copies_are_counted_in_order():
    points = np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [0.0, 0.0]])
    assert copies(points).tolist() == [0, 0, 1, 0, 2, 1]
    assert len(copies(np.empty((0, 2)))) == 0


def test_there_may_be_nobody():
    assert len(ranks(np.empty((0, 2)))) == 0
    assert spread(np.empty((0, 2)), 3) == []
    assert hypervolume(np.empty((0, 2)), np.zeros(2)) == 0.0


def test_crowding_is_the_room_between_neighbours():
    found = crowding(np.array([[0.0, 4.0], [1.0, 3.0], [4.0, 0.0]]))
    # (4 - 0) / 4 in the first goal, (4 - 0) / 4 in the second.
    assert found.tolist() == [np.inf, 2.0, np.inf]


def test_a_goal_in_which_all_are_equal_gives_no_room():
    assert crowding(np.array([[0.0, 1.0], [1.0, 1.0], [3.0, 1.0]])).tolist() == [np.inf, 1, np.inf]


def test_goals_are_scaled_to_the_range_of_the_front():
    assert scaled(np.array([[0.0, 5.0], [4.0, 5.0], [1.0, 5.0]])).tolist() == [
        [0.0, 1.0],
        [1.0, 1.0],
        [0.25, 1.0],
    ]


def test_the_knee_bulges_out_most():
    # Scaled: (0, 1), (0.8, 0.7), (1, 0): sums 1, 1.5, 1.
    assert knee(np.array([[0.0, 10.0], [8.0, 7.0], [10.0, 0.0]])) == 1


def test_a_spread_holds_the_ends_and_the_knee_and_then_who_is_far():
    front = np.array([[0.0, 1.0], [0.1, 0.95], [0.7, 0.75], [0.75, 0.7], [1.0, 0.0]])
    assert spread(front, 3) == [4, 0, 2]
    # (0.1, 0.95) is 0.11 from an end, (0.75, 0.7) only 0.07 from the knee.
    assert spread(front, 4) == [4, 0, 2, 1]
    assert sorted(spread(front, 9)) == [0, 1, 2, 3, 4]


def test_a_spread_names_nobody_twice():
    assert spread(np.array([[1.0, 1.0], [1.0, 1.0]]), 5) == [0]


def test_the_hypervolume_of_two_points_is_the_area_they_cover():
    # 2 x 1 and 1 x 2, less the 1 x 1 that both cover.
    assert hypervolume(np.array([[2.0, 1.0], [1.0, 2.0]]), np.zeros(2)) == pytest.approx(3.0)


def test_what_is_worse_than_the_reference_adds_nothing():
    assert hypervolume(np.array([[2.0, -1.0], [1.0, 2.0]]), np.zeros(2)) == pytest.approx(2.0)
