import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer.cma_es_margin import MOST_GENES, CmaEsMargin
from evoforge.space import Param, Space


def sphere(optimum):
    return lambda genome: -float(((genome - optimum) ** 2).sum())


# 4 + floor(3 ln n): 3 ln 6 = 5.4, 3 ln 40 = 11.1.
@pytest.mark.parametrize(("dim", "population"), [(1, 4), (6, 9), (40, 15)])
def test_the_population_grows_with_the_logarithm_of_the_genes(cube, dim, population):
    assert CmaEsMargin(cube(dim)).population == population


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bits_and_numbers_are_found_together(bits, onemax, evolve, seed):
    optimizer = CmaEsMargin(bits(8, 8), population=12, seed=seed)
    # 1,440 evaluations, where the median of 20 seeds is 966.
    assert evolve(optimizer, onemax(8), 120)[1].max() > -1e-3
    assert onemax(8)(optimizer.recommend()[0]) > -1e-3


@pytest.mark.parametrize("init", [0.0, 0.8333, 1.0])
def test_bits_may_start_decided_and_change(bits, onemax, evolve, init):
    optimizer = CmaEsMargin(bits(6, 2, init), population=12, seed=1)
    wanted = np.array([0, 1] * 3)

    def fitness(genome):
        return onemax(0)(genome[6:]) - ((genome[:6] > 0.5) != wanted).sum()

    assert evolve(optimizer, fitness, 100)[1].max() > -1e-3


# Half a normal distribution lies above its mean; above 0.8333 - 2 sigma = 0.5 lie 97.7 %.
@pytest.mark.parametrize(("init", "share"), [(0.5, 0.5), (0.8333, 0.977), (0.1667, 0.023)])
def test_the_start_of_a_binary_is_the_chance_that_it_is_1(bits, init, share):
    optimizer = CmaEsMargin(bits(20, 4, init), population=200)
    assert optimizer.recommend()[0, :20] == pytest.approx([init] * 20)
    assert (optimizer.ask()[:, :20] > 0.5).mean() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_value_that_lost_keeps_its_margin(bits, onemax, evolve, seed):
    optimizer = CmaEsMargin(bits(10, 10), population=13, seed=seed)
    evolve(optimizer, onemax(10), 60)
    late = evolve(optimizer, onemax(10), 100)[0][:, :10]
    # At least 1 / (20 genes x 13) for each of 100 x 13 x 10 draws: 50.
    assert 25 < (late < 0.5).sum() < 500


def test_every_value_of_integers_and_choices_can_be_found(mixed, evolve):
    # Genes of a binary, a number, an integer of 5, a choice of 3 and a logarithm.
    for wanted in ([0.25, 0.2, 0.1, 1 / 6, 0.3], [0.75, 0.2, 0.9, 5 / 6, 0.3]):
        optimizer = CmaEsMargin(mixed(5), population=12, seed=1)
        evolve(optimizer, sphere(np.array(wanted)), 60)
        found = optimizer.space.decode(optimizer.recommend()[0])
        assert list(found.values())[:4:2] == [int(wanted[0] > 0.5), int(wanted[2] * 5) + 1]
        assert found["x3"] == "abc"[int(wanted[3] * 3)]


def test_genes_lie_where_they_decode_to_what_was_drawn(mixed, evolve):
    asked = evolve(CmaEsMargin(mixed(4), seed=1), sphere(0.3), 10)[0]
    assert set(asked[:, 0]) <= {0.0, 1.0}
    assert (asked[:, 2] * 5) % 1 == pytest.approx(0.5)
    assert (asked[:, 3] * 3) % 1 == pytest.approx(0.5)


def test_the_first_and_the_last_value_may_be_the_start():
    # 1 - 0.5 / 3 and 2.5 / 3 differ in the last bit.
    for count in range(2, 40):
        params = [Param(f"x{i}", 0, count, i, "integer") for i in (0, count)]
        asked = CmaEsMargin(Space(params), sigma=1e-3).ask()
        assert (asked[:, 0] * (count + 1) < 1).all()
        assert (asked[:, 1] * (count + 1) > count).all()


def test_an_optimum_in_the_interior_is_found_without_discrete_genes(cube, evolve):
    optimum = np.array([0.2, 0.7, 0.4, 0.6])
    optimizer = CmaEsMargin(cube(4), seed=1)
    evolve(optimizer, sphere(optimum), 80)
    assert optimizer.recommend()[0] == pytest.approx(optimum, abs=1e-3)


def test_an_optimum_on_the_boundary_is_found_without_discrete_genes(cube, evolve):
    optimum = np.array([0.0, 1.0, 0.5, 0.0])
    optimizer = CmaEsMargin(cube(4), seed=1)
    evolve(optimizer, sphere(optimum), 80)
    assert optimizer.recommend()[0] == pytest.approx(optimum, abs=1e-2)


def test_an_optimum_along_one_axis_is_found(cube, evolve):
    optimizer = CmaEsMargin(cube(1), seed=1)
    evolve(optimizer, sphere(0.2), 50)
    assert optimizer.recommend()[0] == pytest.approx([0.2], abs=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_search_that_has_collapsed_goes_on_asking(cube, bits, evolve, count):
    # The library divides by zero after 300 to 800 generations of such spaces.
    spaces = {
        1: bits(1, 1),
        2: bits(2, 0),
        3: Space([Param("x", 0, 2, 1, "integer"), *cube(1).params]),
    }
    optimizer = CmaEsMargin(spaces[count], population=5)
    evolve(optimizer, sphere(0.0), 900)
    late = optimizer.ask()
    assert ((late >= 0) & (late <= 1)).all()
    assert len(np.unique(evolve(optimizer, sphere(0.0), 60)[0][:, 0])) > 1


@pytest.mark.parametrize("n", [1, 7, 8, 20])
def test_given_starts_are_asked_before_any_draw(mixed, evolve, n):
    given = np.random.default_rng(3).random((n, 5))
    optimizer = CmaEsMargin(mixed(5).starting(given), population=7, seed=1)
    asked, operators = [], []
    for _ in range(4):
        asked += list(evolve(optimizer, sphere(0.5), 1)[0])
        operators += [origin.operator for origin in optimizer.origins]
    assert np.array_equal(asked[:n], given)
    assert operators == ["start"] * n + ["sample"] * (28 - n)


@pytest.mark.parametrize("good", [True, False])
def test_a_far_start_pulls_if_it_is_good_and_does_no_harm_if_not(cube, evolve, good):
    given = np.array([[0.2] * 6, [0.9] * 6])
    optimizer = CmaEsMargin(cube(6).starting(given), population=9, seed=1)
    evolve(optimizer, sphere(given[1 if good else 0]), 1)
    (mean,) = optimizer.recommend()
    assert (mean.mean() > 0.3) == good
    assert 0.05 < optimizer.ask().std(axis=0).mean() < 0.4


def test_it_says_how_wide_it_is(cube, evolve):
    optimizer = CmaEsMargin(cube(4), population=500)
    evolve(optimizer, sphere(0.5), 1)
    assert optimizer.facts == {"sigma": pytest.approx(1 / 6, rel=0.1)}


def test_failures_alone_teach_nothing(cube):
    optimizer = CmaEsMargin(cube(2), population=4)
    with pytest.raises(ValueError, match="every candidate failed"):
        optimizer.tell(optimizer.ask(), np.full(4, -np.inf))


def test_a_space_too_large_for_a_matrix_names_the_other_option(cube):
    assert CmaEsMargin(cube(MOST_GENES), population=4)
    with pytest.raises(ConfigError, match=r"at most 500 genes, got 501; set optimizer=cma_es"):
        CmaEsMargin(cube(MOST_GENES + 1))


@pytest.mark.parametrize("population", [1, 3])
def test_a_population_of_less_than_four_is_refused(cube, population):
    with pytest.raises(
        ConfigError, match=rf"at least 4, got {population}; set optimizer\.population"
    ):
        CmaEsMargin(cube(2), population=population)


@pytest.mark.parametrize("sigma", [0, -0.1, 1.1, float("nan")])
def test_a_sigma_that_makes_no_sense_names_the_option(cube, sigma):
    with pytest.raises(
        ConfigError, match=rf"sigma must be in \(0, 1\], got {sigma}; set optimizer\.sigma"
    ):
        CmaEsMargin(cube(2), sigma=sigma)
