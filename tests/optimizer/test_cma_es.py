import tracemalloc

import cma
import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer.cma_es import PATIENT, CmaEs, _Normal
from evoforge.optimizer.random_search import RandomSearch
from evoforge.space import Param, Space


def sphere(optimum):
    return lambda genome: -float(((genome - optimum) ** 2).sum())


# 4 + floor(3 ln n): 3 ln 6 = 5.4, 3 ln 40 = 11.1.
@pytest.mark.parametrize(("dim", "population"), [(1, 4), (2, 6), (6, 9), (10, 10), (40, 15)])
def test_the_population_grows_with_the_logarithm_of_the_genes(cube, dim, population):
    assert CmaEs(cube(dim)).population == population


def test_the_search_starts_at_the_start_of_the_space(cube):
    optimizer = CmaEs(cube(3, init=0.25), sigma=0.01)
    assert optimizer.recommend()[0] == pytest.approx([0.25] * 3)
    assert np.abs(optimizer.ask() - 0.25).max() < 0.06


def test_sigma_is_the_spread_of_the_first_genomes(cube):
    # The middle of a wide population: the bounds at 3 sigma hardly bend it.
    asked = CmaEs(cube(4), population=500, sigma=1 / 6).ask()
    assert asked.std() == pytest.approx(1 / 6, rel=0.05)


def test_an_optimum_in_the_interior_is_found(cube, evolve):
    optimum = np.array([0.2, 0.7, 0.4, 0.6])
    optimizer = CmaEs(cube(4), seed=1)
    evolve(optimizer, sphere(optimum), 60)
    assert optimizer.recommend()[0] == pytest.approx(optimum, abs=1e-3)


def test_an_optimum_on_the_boundary_is_found(cube, evolve):
    optimum = np.array([0.0, 1.0, 0.5, 0.0])
    optimizer = CmaEs(cube(4), seed=1)
    evolve(optimizer, sphere(optimum), 80)
    assert optimizer.recommend()[0] == pytest.approx(optimum, abs=1e-2)


def test_an_optimum_along_one_axis_is_found(cube, evolve):
    optimizer = CmaEs(cube(1), seed=1)
    evolve(optimizer, sphere(0.2), 50)
    assert optimizer.recommend()[0] == pytest.approx([0.2], abs=1e-3)


def test_an_optimum_is_found_among_failures(cube, evolve):
    # A third of the cube cannot be evaluated.
    goal = sphere(0.5)
    optimizer = CmaEs(cube(4, init=0.8), seed=1)
    evolve(optimizer, lambda genome: goal(genome) if genome[0] < 0.9 else -np.inf, 60)
    assert optimizer.recommend()[0] == pytest.approx([0.5] * 4, abs=1e-2)


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
    assert goal(optimizer.recommend()[0]) > goal(genomes[fitness.argmax()])


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


def test_numbers_alone_are_searched_as_pycma_does_in_the_unit_cube(cube, evolve):
    options = {"bounds": [0, 1], "popsize": 7, "randn": _Normal(4), "seed": np.nan, "verbose": -9}
    search = cma.CMAEvolutionStrategy([0.25] * 5, 1 / 6, {**PATIENT, **options})
    expected = []
    for _ in range(30):
        vectors = search.ask()
        search.tell(vectors, [-sphere(0.3)(vector) for vector in vectors])
        expected += vectors
    found = evolve(CmaEs(cube(5, init=0.25), population=7, seed=4), sphere(0.3), 30)[0]
    assert np.array_equal(found, expected)


def test_a_gene_with_few_values_is_asked_in_the_middle_of_a_share(mixed, evolve):
    # A binary, a number, an integer of 5 values and a choice of 3.
    asked = evolve(CmaEs(mixed(4), seed=1), sphere(0.3), 10)[0]
    assert set(asked[:, 0]) <= {0.25, 0.75}
    assert (asked[:, 2] * 5) % 1 == pytest.approx(0.5)
    assert (asked[:, 3] * 3) % 1 == pytest.approx(0.5)
    assert len(set(asked[:, 1])) == len(asked)


# Half a normal distribution lies above its mean; above 0.8333 - 2 sigma = 0.5 lie 97.7 %.
@pytest.mark.parametrize(("init", "share"), [(0.5, 0.5), (0.8333, 0.977), (0.1667, 0.023)])
def test_the_start_of_a_binary_is_the_chance_that_it_is_1(bits, init, share):
    optimizer = CmaEs(bits(20, 4, init), population=200)
    assert optimizer.recommend()[0, :20] == pytest.approx([init] * 20, abs=1e-6)
    assert (optimizer.ask()[:, :20] > 0.5).mean() == pytest.approx(share, abs=0.02)


def test_sigma_is_the_same_share_of_the_range_of_an_integer(cube):
    space = Space([Param("layer", 0, 99, 49, "integer"), *cube(3).params])
    asked = CmaEs(space, population=1000, sigma=0.1).ask()
    assert asked.std(0) == pytest.approx([0.1] * 4, rel=0.1)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bits_and_numbers_are_found_together(bits, onemax, evolve, covariance, seed):
    optimizer = CmaEs(bits(8, 8), population=12, covariance=covariance, seed=seed)
    # 1,200 evaluations, where the median of 20 seeds is 726 (full) and 612 (diagonal).
    fitness = evolve(optimizer, onemax(8), 100)[1]
    assert fitness.max() > -1e-3
    assert onemax(8)(optimizer.recommend()[0]) > -1e-3


def test_bits_that_start_decided_change(bits, onemax, evolve):
    optimizer = CmaEs(bits(8, 8, init=0.8333), population=12, seed=1)
    wanted = np.array([0, 1] * 4)

    def fitness(genome):
        wrong = (genome[:8] > 0.5) != wanted
        return onemax(0)(genome[8:]) - wrong.sum()

    assert evolve(optimizer, fitness, 100)[1].max() > -1e-3


def test_bits_that_lost_are_tried_again_in_large_spaces(bits, onemax, evolve):
    # All bits are 1 after 150 generations; with pycma's own bound none is 0 in the next 50.
    optimizer = CmaEs(bits(30, 270), covariance="diagonal", seed=1)
    evolve(optimizer, onemax(30), 150)
    late = evolve(optimizer, onemax(30), 50)[0][:, :30]
    assert (late > 0.5).mean() > 0.98
    # At least 1 / (300 genes x 21) for each of 50 x 21 x 30 draws: 5.
    assert (late < 0.5).sum() > 5


def test_without_integers_a_binary_is_a_number(bits):
    asked = CmaEs(bits(4, 1), integers=False, population=20).ask()
    assert len(np.unique(asked)) == asked.size


@pytest.mark.parametrize(
    ("genes", "covariance", "matrix"),
    [
        (500, "auto", True),
        (501, "auto", False),
        (501, "full", True),
        (500, "diagonal", False),
    ],
)
def test_the_matrix_is_held_up_to_500_genes_or_where_asked_for(cube, genes, covariance, matrix):
    space = cube(genes)
    tracemalloc.start()
    optimizer = CmaEs(space, population=3, covariance=covariance)
    optimizer.tell(optimizer.ask(), np.arange(3.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (peak > 8 * genes**2) == matrix


def test_the_papers_layer_paths_fit_and_are_replayed(bits, evolve):
    # 192 binary genes and 4,096 scales: a matrix would take 147 MB.
    first = CmaEs(bits(192, 4096), population=128, seed=3)
    genomes, fitness = evolve(first, sphere(0.3), 3)
    again = CmaEs(bits(192, 4096), population=128, seed=3)
    for i in range(0, len(genomes), 128):
        assert np.array_equal(again.ask(), genomes[i : i + 128])
        again.tell(genomes[i : i + 128], fitness[i : i + 128])
    assert np.array_equal(again.ask(), first.ask())


def test_the_diagonal_survives_equal_fitness_and_failures(mixed, evolve):
    optimizer = CmaEs(mixed(600), population=8)
    evolve(optimizer, lambda genome: 0.5, 10)
    evolve(optimizer, lambda genome: -np.inf if genome[1] > 0.5 else 0.5, 10)
    late = evolve(optimizer, lambda genome: 0.5, 10)[0][:, ::5]
    assert ((late > 0.5).any(0) & (late < 0.5).any(0)).mean() > 0.95


def test_an_unknown_covariance_answers_with_the_known(cube):
    with pytest.raises(
        ConfigError,
        match=r"must be one of auto, full, diagonal, got sparse; set optimizer\.covariance",
    ):
        CmaEs(cube(2), covariance="sparse")


def test_integers_is_yes_or_no(cube):
    with pytest.raises(
        ConfigError, match=r"integers must be true or false, got 'all'; set optimizer\.integers"
    ):
        CmaEs(cube(2), integers="all")
