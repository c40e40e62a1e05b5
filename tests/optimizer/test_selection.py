import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer._selection import (
    SELECTIONS,
    rank_chances,
    roulette_chances,
    selection,
    truncation_chances,
)

TEN = np.arange(10.0)


def shares(fitness, name, **options):
    """Return how often each is drawn of 20,000 times."""
    drawn = selection(name, **options)(fitness, 20000, np.random.default_rng(0))
    return np.bincount(drawn, minlength=len(fitness)) / 20000


# Of 10 the best is among k different entrants with a chance of k / 10, and then it wins. The next
# wins where it takes part and the best does not: k / 10 (10 - k) / 9.
@pytest.mark.parametrize(("size", "best", "next_best"), [(2, 0.2, 0.1778), (3, 0.3, 0.2333)])
def test_the_pressure_of_a_tournament(size, best, next_best):
    found = shares(TEN, "tournament", tournament_size=size)
    assert found[-1] == pytest.approx(best, abs=0.01)
    assert found[-2] == pytest.approx(next_best, abs=0.01)
    # The worst would need a tournament of its own.
    assert found[: size - 1].sum() == 0


def test_a_tournament_larger_than_all_takes_the_best():
    assert shares(TEN, "tournament", tournament_size=50)[-1] == 1


def test_equals_win_tournaments_alike():
    assert shares(np.zeros(4), "tournament") == pytest.approx([0.25] * 4, abs=0.015)


# Of five: 1.5 / 5 for the best, 0.5 / 5 for the worst, evenly between.
def test_chances_fall_evenly_with_the_rank():
    found = rank_chances(np.array([3.0, 9.0, 1.0, 100.0, 2.0]), pressure=1.5)
    assert found == pytest.approx([0.2, 0.25, 0.1, 0.3, 0.15])


def test_equals_have_the_mean_of_their_ranks():
    found = rank_chances(np.array([1.0, 1.0, 3.0]), pressure=2.0)
    # Ranks 0, 1, 2 have 0, 1/3 and 2/3.
    assert found == pytest.approx([1 / 6, 1 / 6, 2 / 3])


def test_one_genome_has_all_the_chances():
    assert rank_chances(np.array([0.3]), pressure=1.5) == [1.0]


# Above the worst: 0, 1 and 3 of 4.
def test_roulette_is_in_proportion_to_the_lead():
    assert roulette_chances(np.array([1.0, 2.0, 4.0])) == pytest.approx([0, 0.25, 0.75])


def test_roulette_among_equals_is_even():
    assert roulette_chances(np.full(4, 0.5)) == pytest.approx([0.25] * 4)


@pytest.mark.parametrize(("kept", "count"), [(0.3, 3), (0.01, 1), (1.0, 10)])
def test_truncation_draws_the_best_share_alike(kept, count):
    found = truncation_chances(TEN, kept)
    assert found == pytest.approx([0] * (10 - count) + [1 / count] * count)


def test_chances_are_kept_to_one_draw():
    drawn = selection("rank")(TEN, 100, np.random.default_rng(3))
    expected = 100 * rank_chances(TEN, pressure=1.5)
    assert np.abs(np.bincount(drawn, minlength=10) - expected).max() < 1


@pytest.mark.parametrize("name", SELECTIONS)
def test_failures_are_parents_only_where_nothing_else_is(name):
    drawn = selection(name, kept=1.0, pressure=1.0, tournament_size=1)
    some = np.array([-np.inf, 0.1, -np.inf, 0.2])
    assert set(drawn(some, 200, np.random.default_rng(0))) <= {1, 3}
    assert set(drawn(np.full(3, -np.inf), 200, np.random.default_rng(0))) == {0, 1, 2}


@pytest.mark.parametrize("name", SELECTIONS)
def test_fitness_moved_as_a_whole_changes_nothing(name):
    one = selection(name)(TEN, 50, np.random.default_rng(0))
    other = selection(name)(TEN - 40.0, 50, np.random.default_rng(0))
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "lottery"}, r"one of tournament, rank, .*, got lottery; set optimizer\.selec"),
        ({"tournament_size": 0}, r"at least 1, got 0; set optimizer\.tournament_size"),
        ({"pressure": 2.5}, r"in \[1, 2\], got 2.5; set optimizer\.pressure"),
        ({"kept": 0.0}, r"in \(0, 1\], got 0.0; set optimizer\.kept"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        selection(**{"name": "rank", **options})
