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


def test_another_takes_a_place(pool):
    other = Pool.empty(2).with_new(np.ones((1, 2)), np.array([4]), np.ones(1))
    found = pool.replaced(1, other)
    assert found.numbers.tolist() == [0, 4, 2]
    assert found.mean.tolist() == [0.5, 1.0, 0.7]
    assert found.genomes[:, 0].tolist() == [0.1, 1.0, 0.3]
    assert pool.numbers.tolist() == [0, 1, 2]


def test_who_was_asked_again_twice_has_the_mean_of_all(pool):
    found = pool.again(np.array([2, 2]), np.array([8, 9]), np.array([0.1, 0.4]))
    # (0.7 + 0.1 + 0.4) / 3
    assert found.mean[2] == pytest.approx(0.4)
    assert (found.times[2], found.numbers[2]) == (3, 9)


def test_a_genome_is_found_by_its_genes(pool):
    assert pool.find(pool.genomes[1]) == 1
    assert pool.find(np.ones(2)) is None


def test_rows_are_json(pool):
    assert pool.some(pool.best(1)).rows == [{"number": 2, "told": 1, "fitness": 0.7}]


def test_diversity_is_the_mean_spread_of_a_gene(pool):
    assert pool.diversity == pytest.approx(np.std([0.1, 0.2, 0.3]))
    assert Pool.empty(2).diversity == 0
