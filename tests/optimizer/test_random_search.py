import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer.random_search import RandomSearch


def test_genomes_are_spread_over_the_whole_cube(cube):
    genomes = RandomSearch(cube(3), population=2000).ask()
    # Uniform numbers have mean 1/2 and variance 1/12.
    assert genomes.mean(0) == pytest.approx([0.5] * 3, abs=0.03)
    assert genomes.var(0) == pytest.approx([1 / 12] * 3, abs=0.01)


def test_what_it_is_told_changes_nothing(cube):
    one, other = RandomSearch(cube(3), seed=4), RandomSearch(cube(3), seed=4)
    one.tell(one.ask(), np.zeros(10))
    other.tell(other.ask(), np.arange(10.0))
    assert np.array_equal(one.ask(), other.ask())


def test_every_generation_is_another(cube):
    optimizer = RandomSearch(cube(3))
    assert not np.array_equal(optimizer.ask(), optimizer.ask())


def test_it_believes_in_no_genome_that_it_did_not_ask(cube):
    assert len(RandomSearch(cube(3)).recommend()) == 0


@pytest.mark.parametrize("n", [1, 4, 5, 9])
def test_given_starts_come_before_the_draws(cube, n):
    given = np.linspace(0.1, 0.9, n)[:, None] * np.ones(3)
    optimizer = RandomSearch(cube(3).starting(given), population=4)
    asked, operators = [], []
    for _ in range(4):
        asked += list(optimizer.ask())
        operators += [origin.operator for origin in optimizer.origins]
    assert np.array_equal(asked[:n], given)
    assert operators == ["start"] * n + ["random"] * (16 - n)


def test_one_genome_at_a_time_is_enough(cube):
    assert RandomSearch(cube(3), population=1).ask().shape == (1, 3)


def test_an_empty_population_is_refused(cube):
    with pytest.raises(ConfigError, match=r"at least 1, got 0; set optimizer\.population"):
        RandomSearch(cube(3), population=0)
