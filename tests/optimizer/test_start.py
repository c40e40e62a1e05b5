import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer._start import Start


def start(space, spread=None, seed=0):
    return Start(space, np.random.default_rng(seed), spread)


def test_given_starts_come_first_and_once(cube):
    given = np.random.default_rng(1).random((5, 3))
    begin = start(cube(3).starting(given))
    first, origins = begin.genomes(2)
    assert np.array_equal(first, given[:2])
    assert begin.left == 3
    second, later = begin.genomes(4)
    assert np.array_equal(second[:3], given[2:])
    assert begin.left == 0
    assert [origin.operator for origin in (*origins, *later)] == ["start"] * 5 + ["sample"]


def test_draws_are_one_to_each_share_of_the_range(cube):
    genomes = start(cube(3)).genomes(8)[0]
    assert np.sort(np.floor(genomes * 8), axis=0).tolist() == [[i] * 3 for i in range(8)]


def test_with_a_spread_draws_lie_around_the_start(cube):
    genomes = start(cube(2, init=0.4), spread=0.1).genomes(400)[0]
    assert genomes.mean(0) == pytest.approx([0.4] * 2, abs=0.005)
    assert genomes.std(0) == pytest.approx([0.1] * 2, rel=0.03)


# Above 0.8333 - 2 x 1/6 = 0.5 lie 97.7 % of a normal distribution; at 0.5 half.
@pytest.mark.parametrize(("init", "chance"), [(0.8333, 0.977), (0.5, 0.5), (0.1667, 0.023)])
def test_the_start_of_a_binary_is_the_chance_that_it_is_1(bits, init, chance):
    genomes = start(bits(3, 1, init), spread=1 / 6).genomes(400)[0]
    assert set(genomes[:, 0]) <= {0.25, 0.75}
    assert (genomes[:, :3] > 0.5).mean(0) == pytest.approx([chance] * 3, abs=0.005)


def test_choices_have_no_neighbours_and_are_drawn_evenly(mixed):
    genomes = start(mixed(5, init=0.0), spread=0.01).genomes(300)[0]
    assert np.unique(genomes[:, 3], return_counts=True)[1].tolist() == [100, 100, 100]


@pytest.mark.parametrize("spread", [0, -1, 1.5, float("nan")])
def test_a_spread_that_makes_no_sense_is_named(cube, spread):
    with pytest.raises(ConfigError, match=rf"got {spread}; set optimizer\.spread"):
        start(cube(2), spread=spread)
