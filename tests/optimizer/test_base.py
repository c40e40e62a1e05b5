import numpy as np
import pytest

from evoforge.optimizer.base import finite


def test_successes_keep_their_fitness():
    assert finite(np.array([0.25, 1.0, -3.0])).tolist() == [0.25, 1.0, -3.0]


def test_a_failure_is_a_spread_worse_than_the_worst_success():
    # Worst 0.25, spread 0.75: 0.25 - 0.75 = -0.5.
    found = finite(np.array([1.0, -np.inf, 0.25, np.nan]))
    assert found.tolist() == [1.0, -0.5, 0.25, -0.5]


@pytest.mark.parametrize("fine", [[0.5], [0.5, 0.5]])
def test_a_failure_is_worse_than_equal_successes(fine):
    assert finite(np.array([*fine, -np.inf]))[-1] < 0.5


def test_the_fitness_that_came_is_not_changed():
    given = np.array([1.0, -np.inf])
    finite(given)
    assert given.tolist() == [1.0, -np.inf]


def test_nothing_can_be_learned_from_failures_alone():
    with pytest.raises(ValueError, match="every candidate failed"):
        finite(np.array([-np.inf, -np.inf]))
