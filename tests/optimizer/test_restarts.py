import numpy as np
import pytest

from evoforge.optimizer._restarts import Progress, Restarts


class Dice:
    """Stand in for a generator: all draws are the same."""

    def __init__(self, value):
        self.value = value

    def random(self, n):
        return np.full(n, self.value)


def test_ipop_doubles_the_population_and_starts_as_wide_as_at_first():
    plan = Restarts("ipop", 6, 0.2, Dice(0.5))
    found = [plan.following(100) for _ in range(3)]
    assert [regime.population for regime in found] == [12, 24, 48]
    assert {(regime.sigma, regime.evaluations) for regime in found} == {(0.2, None)}


def test_bipop_spends_as_much_on_small_populations_as_on_large_ones():
    plan = Restarts("bipop", 6, 0.2, Dice(0.5))
    # What each run used, the first one's 60 counting for neither side.
    found = [plan.following(used) for used in (60, 200, 100, 100, 500)]
    assert [regime.population for regime in found[:1]] == [12]
    # 6 (12 / 12)^(1/4) = 6 twice, until both sides have used 200; then 24.
    assert [regime.population for regime in found[1:4]] == [6, 6, 24]
    # 6 (24 / 12)^(1/4) = 7.1.
    assert found[4].population == 7


def test_small_runs_start_narrow_and_end_after_half_of_the_large_one():
    plan = Restarts("bipop", 6, 0.2, Dice(1.0))
    plan.following(60)
    small = plan.following(201)
    assert small.sigma == pytest.approx(0.02)
    assert small.evaluations == 100


def test_a_rise_above_noise_is_progress():
    noise = np.random.default_rng(1)
    progress = Progress(20)
    for generation in range(100):
        progress.see(0.01 * generation + noise.normal(scale=0.04))
        assert not progress.over


def test_no_rise_is_no_progress_but_not_before_there_was_time_for_it():
    progress = Progress(20)
    for _ in range(19):
        progress.see(0.5)
        assert not progress.over
    progress.see(0.5)
    assert progress.over


def test_a_rise_within_one_standard_error_is_none():
    # Halves 0, 2 and 1, 3: the means differ by 1; each half varies by 2, so by
    # sqrt((2 + 2) / 2) = 1.41.
    within, beyond = Progress(4), Progress(4)
    for median in (0, 2, 1, 3):
        within.see(median)
    # Halves 0, 2 and 2, 4: by 2, of 1.41.
    for median in (0, 2, 2, 4):
        beyond.see(median)
    assert within.over
    assert not beyond.over
