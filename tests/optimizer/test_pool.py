import numpy as np
import pytest

from evoforge.optimizer._pool import Pool


@pytest.fixture
def pool():
    genomes = np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])
    return Pool.empty(2).with_new(genomes, np.arange(3), np.array([0.5, -np.inf, 0.7]))


def test_fitness_is_the_mean_of_what_was_told(pool):
    # 0.7 and 0.3 are 0.5 on average.
    again = pool.again(np.array([2]), np.array([9]), np.array([0.3]))
    assert again.mean == pytest.approx([0.5, -np.inf, 0.5])
    assert again.times.tolist() == [1, 1, 2]
    assert again.numbers.tolist() == [0, 1, 9]
    assert pool.times.tolist() == [1, 1, 1]


def test_failures_are_not_among_the_best(pool):
    assert pool.best(3).tolist() == [2, 0]
    assert pool.best(1).tolist() == [2]


def test_another_takes_some_places(pool):
    other = Pool.empty(2).with_new(np.ones((3, 2)), np.arange(3, 6), np.ones(3))
    found = pool.replaced(np.array([False, True, False]), other)
    assert found.numbers.tolist() == [0, 4, 2]
    assert found.mean.tolist() == [0.5, 1.0, 0.7]
    assert found.genomes[:, 0].tolist() == [0.1, 1.0, 0.3]


def test_rows_are_json(pool):
    assert pool.some(pool.best(1)).rows == [{"number": 2, "told": 1, "fitness": 0.7}]


def test_diversity_is_the_mean_spread_of_a_gene(pool):
    assert pool.diversity == pytest.approx(np.std([0.1, 0.2, 0.3]))
    assert Pool.empty(2).diversity == 0
