import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer.cma_es import CmaEs
from evoforge.optimizer.random_search import RandomSearch


def sphere(optimum):
    return lambda genome: -float(((genome - optimum) ** 2).sum())


# 4 + floor(3 ln n): 3 ln 6 = 5.4, 3 ln 40 = 11.1.
@pytest.mark.parametrize(("dim", "population"), [(1, 4), (2, 6), (6, 9), (10, 10), (40, 15)])
def test_the_population_grows_with_the_logarithm_of_the_genes(cube, dim, population):
    assert CmaEs(cube(dim)).population == population


def test_the_search_starts_at_the_start_of_the_space(cube):
    optimizer = CmaEs(cube(3, init=0.25), sigma=0.01)
    assert optimizer.recommend() == pytest.approx([0.25] * 3)
    assert np.abs(optimizer.ask() - 0.25).max() < 0.06


def test_sigma_is_the_spread_of_the_first_genomes(cube):
    # The middle of a wide population: the bounds at 3 sigma hardly bend it.
    asked = CmaEs(cube(4), population=500, sigma=1 / 6).ask()
    assert asked.std() == pytest.approx(1 / 6, rel=0.05)


def test_an_optimum_in_the_interior_is_found(cube, evolve):
    optimum = np.array([0.2, 0.7, 0.4, 0.6])
    optimizer = CmaEs(cube(4), seed=1)
    evolve(optimizer, sphere(optimum), 60)
    assert optimizer.recommend() == pytest.approx(optimum, abs=1e-3)


def test_an_optimum_on_the_boundary_is_found(cube, evolve):
    optimum = np.array([0.0, 1.0, 0.5, 0.0])
    optimizer = CmaEs(cube(4), seed=1)
    evolve(optimizer, sphere(optimum), 80)
    assert optimizer.recommend() == pytest.approx(optimum, abs=1e-2)


def test_an_optimum_along_one_axis_is_found(cube, evolve):
    optimizer = CmaEs(cube(1), seed=1)
    evolve(optimizer, sphere(0.2), 50)
    assert optimizer.recommend() == pytest.approx([0.2], abs=1e-3)


def test_an_optimum_is_found_among_failures(cube, evolve):
    # A third of the cube cannot be evaluated.
    goal = sphere(0.5)
    optimizer = CmaEs(cube(4, init=0.8), seed=1)
    evolve(optimizer, lambda genome: goal(genome) if genome[0] < 0.9 else -np.inf, 60)
    assert optimizer.recommend() == pytest.approx([0.5] * 4, abs=1e-2)


def test_failures_alone_teach_nothing(cube):
    optimizer = CmaEs(cube(2), population=4)
    with pytest.raises(ValueError, match="every candidate failed"):
        optimizer.tell(optimizer.ask(), np.full(4, -np.inf))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_beats_random_search_under_noise(cube, evolve, seed):
    goal, noise = sphere(0.3), np.random.default_rng(seed)

    def noisy(genome):
        return goal(genome) + noise.normal(scale=0.05)

    optimizer = CmaEs(cube(6), population=10, seed=seed)
    evolve(optimizer, noisy, 40)
    genomes, fitness = evolve(RandomSearch(cube(6), population=10, seed=seed), noisy, 40)
    assert goal(optimizer.recommend()) > goal(genomes[fitness.argmax()])


@pytest.mark.parametrize("population", [1, 2])
def test_a_population_of_less_than_three_is_refused(cube, population):
    with pytest.raises(
        ConfigError, match=rf"at least 3, got {population}; set optimizer\.population"
    ):
        CmaEs(cube(2), population=population)


@pytest.mark.parametrize("sigma", [0, -0.1, 1.1, float("nan")])
def test_a_sigma_that_makes_no_sense_names_the_option(cube, sigma):
    with pytest.raises(
        ConfigError, match=rf"sigma must be in \(0, 1\], got {sigma}; set optimizer\.sigma"
    ):
        CmaEs(cube(2), sigma=sigma)
