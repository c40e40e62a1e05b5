import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer.sobol import MOST_GENES, Sobol


def test_each_part_of_a_gene_gets_its_share_of_the_points(cube):
    genomes = Sobol(cube(5), population=64).ask()
    for gene in genomes.T:
        assert np.histogram(gene, bins=64, range=(0, 1))[0].tolist() == [1] * 64


def test_the_points_are_the_same_however_many_are_asked_at_a_time(cube):
    together = Sobol(cube(3), population=12, seed=2).ask()
    apart = Sobol(cube(3), population=3, seed=2)
    assert np.array_equal(np.concatenate([apart.ask() for _ in range(4)]), together)


@pytest.mark.parametrize("n", [1, 4, 5, 9])
def test_given_starts_come_before_the_points(cube, n):
    given = np.linspace(0.1, 0.9, n)[:, None] * np.ones(3)
    optimizer = Sobol(cube(3).starting(given), population=4)
    asked, operators = [], []
    for _ in range(4):
        asked.append(optimizer.ask())
        operators += [origin.operator for origin in optimizer.origins]
    asked = np.concatenate(asked)
    assert np.array_equal(asked[:n], given)
    assert operators == ["start"] * n + ["sobol"] * (16 - n)
    assert np.array_equal(asked[n:], Sobol(cube(3), population=16 - n).ask())


def test_what_it_is_told_changes_nothing(cube):
    one, other = Sobol(cube(3), seed=4), Sobol(cube(3), seed=4)
    one.tell(one.ask(), np.zeros(10))
    other.tell(other.ask(), np.arange(10.0))
    assert np.array_equal(one.ask(), other.ask())


def test_a_space_too_large_for_the_sequence_names_the_other_option(cube):
    with pytest.raises(
        ConfigError, match=rf"at most {MOST_GENES} genes, got 21202; set optimizer=random_search"
    ):
        Sobol(cube(MOST_GENES + 1))


def test_an_empty_population_is_refused(cube):
    with pytest.raises(ConfigError, match=r"at least 1, got 0; set optimizer\.population"):
        Sobol(cube(3), population=0)
