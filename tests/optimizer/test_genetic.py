import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer._crossover import CROSSOVERS
from evoforge.optimizer._mutation import MUTATIONS
from evoforge.optimizer._selection import SELECTIONS
from evoforge.optimizer.base import Details
from evoforge.optimizer.genetic import Genetic
from evoforge.optimizer.random_search import RandomSearch


def sphere(optimum):
    return lambda genome: -float(((genome - optimum) ** 2).sum())


def step(optimizer, fitness):
    genomes = optimizer.ask()
    optimizer.tell(genomes, np.array(fitness, dtype=float))
    return genomes


def test_the_best_are_asked_again_in_front_of_children(cube):
    optimizer = Genetic(cube(3), population=5, elites=2)
    first = step(optimizer, [0.1, 0.5, 0.2, 0.9, 0.3])
    assert np.array_equal(optimizer.ask()[:2], first[[3, 1]])
    assert [(o.operator, o.parents) for o in optimizer.origins[:2]] == [
        ("elite", (3,)),
        ("elite", (1,)),
    ]


def test_an_elite_is_judged_by_the_mean_of_all_that_was_told(cube):
    optimizer = Genetic(cube(3), population=4, elites=2)
    first = step(optimizer, [0.9, 0.6, 0.1, 0.1])
    # The first was lucky: (0.9 + 0.1) / 2 = 0.5 is below (0.6 + 0.6) / 2, and below a child.
    second = step(optimizer, [0.1, 0.6, 0.55, 0.3])
    third = optimizer.ask()
    assert np.array_equal(third[0], first[1])
    assert np.array_equal(third[1], second[2])
    assert [o.parents for o in optimizer.origins[:2]] == [(5,), (6,)]
    assert optimizer.facts["elites"] == [
        {"number": 5, "told": 2, "fitness": 0.6},
        {"number": 6, "told": 1, "fitness": 0.55},
    ]


def test_without_elites_a_generation_is_children_alone(cube, evolve):
    optimizer = Genetic(cube(3), elites=0)
    evolve(optimizer, sphere(0.3), 3)
    optimizer.ask()
    assert not any(origin.operator == "elite" for origin in optimizer.origins)
    assert optimizer.facts["elites"] == []


def test_parents_are_of_the_generation_before(cube, evolve):
    optimizer = Genetic(cube(4), population=10)
    for generation in range(1, 6):
        evolve(optimizer, sphere(0.3), 1)
        optimizer.ask()
        before = range(10 * (generation - 1), 10 * generation)
        assert all(parent in before for origin in optimizer.origins for parent in origin.parents)
        assert all(len(origin.parents) in (1, 2) for origin in optimizer.origins)


def test_children_come_of_the_parents_that_are_named(cube):
    optimizer = Genetic(cube(6), population=14, crossover="uniform", mutation="none", elites=1)
    asked = list(step(optimizer, np.arange(14)))
    for genome, origin in zip(optimizer.ask(), optimizer.origins, strict=True):
        parents = np.array([asked[number] for number in origin.parents])
        assert (genome == parents).any(axis=0).all()


def test_failures_are_neither_parents_nor_elites(cube):
    optimizer = Genetic(cube(3), population=8, elites=3)
    step(optimizer, [-np.inf, 0.2, -np.inf, -np.inf, 0.1, -np.inf, -np.inf, -np.inf])
    optimizer.ask()
    parents = {parent for origin in optimizer.origins for parent in origin.parents}
    assert parents == {1, 4}
    assert [origin.operator for origin in optimizer.origins].count("elite") == 2


def test_an_elite_that_fails_is_no_elite_any_more(cube):
    optimizer = Genetic(cube(3), population=4, elites=1)
    step(optimizer, [0.9, 0.1, 0.2, 0.3])
    second = step(optimizer, [-np.inf, 0.1, 0.2, 0.3])
    assert np.array_equal(optimizer.ask()[0], second[3])


def test_starts_that_are_left_come_before_elites(cube):
    given = np.linspace(0.1, 0.9, 7)[:, None] * np.ones(3)
    optimizer = Genetic(cube(3).starting(given), population=5, elites=2)
    assert np.array_equal(step(optimizer, [0.1, 0.5, 0.2, 0.9, 0.3]), given[:5])
    second = step(optimizer, [0.4, 0.1, 0.9, 0.5, 0.0])
    assert np.array_equal(second, [given[5], given[6], given[3], given[1], second[4]])
    names = [origin.operator for origin in optimizer.origins]
    assert names[:4] == ["start", "start", "elite", "elite"]
    # The elite at position 2 was told 0.9 twice.
    assert np.array_equal(optimizer.ask()[0], given[3])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_optimum_of_numbers_is_found(cube, evolve, seed):
    optimum = np.array([0.2, 0.7, 0.4, 0.6])
    genomes, fitness = evolve(Genetic(cube(4), seed=seed), sphere(optimum), 60)
    assert genomes[fitness.argmax()] == pytest.approx(optimum, abs=0.03)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("crossover", ["uniform", "one_point"])
def test_bits_are_found(bits, onemax, evolve, crossover, seed):
    # 30 bits, 1,200 evaluations.
    optimizer = Genetic(bits(30, 0), crossover=crossover, seed=seed)
    assert evolve(optimizer, onemax(30), 60)[1].max() == 0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_beats_random_search_under_noise(cube, evolve, seed):
    goal, noise = sphere(0.3), np.random.default_rng(seed)

    def noisy(genome):
        return goal(genome) + noise.normal(scale=0.05)

    optimizer = Genetic(cube(6), seed=seed)
    evolve(optimizer, noisy, 28)
    genomes, fitness = evolve(RandomSearch(cube(6), population=15, seed=seed), noisy, 28)
    assert goal(optimizer.recommend()[-1]) > goal(genomes[fitness.argmax()])


@pytest.mark.parametrize("name", SELECTIONS)
def test_every_selection_climbs(cube, evolve, name):
    optimizer = Genetic(cube(4), selection=name, seed=1)
    fitness = evolve(optimizer, sphere(0.3), 20)[1].reshape(20, -1).mean(1)
    assert fitness[-1] > fitness[0] / 3


@pytest.mark.parametrize("crossover", CROSSOVERS)
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_every_pair_of_operators_climbs(mixed, evolve, crossover, mutation):
    goal = sphere(0.3)
    optimizer = Genetic(mixed(10), crossover=crossover, mutation=mutation, seed=1)
    fitness = evolve(optimizer, goal, 15)[1].reshape(15, -1)
    if (crossover, mutation) == ("none", "none"):
        assert set(fitness[-1]) <= set(fitness[0])
    else:
        assert fitness[-1].mean() > fitness[0].mean()


# 10 + floor(3 ln n): 3 ln 6 = 5.4, 3 ln 97 = 13.7.
@pytest.mark.parametrize(("dim", "population"), [(1, 10), (6, 15), (97, 23)])
def test_the_population_grows_with_the_logarithm_of_the_genes(cube, dim, population):
    assert len(Genetic(cube(dim)).ask()) == population


def test_what_it_recommends_was_proven_or_is_agreed_on(cube):
    optimizer = Genetic(cube(2), population=4, elites=1)
    assert len(optimizer.recommend()) == 0
    first = step(optimizer, [0.9, 0.8, 0.1, 0.1])
    # Nothing was asked twice: the mean of the better two.
    assert optimizer.recommend() == pytest.approx(first[[0, 1]].mean(0, keepdims=True))
    step(optimizer, [0.9, 0.1, 0.1, 0.2])
    assert optimizer.recommend()[0] == pytest.approx(first[0])
    assert len(optimizer.recommend()) == 2


@pytest.mark.parametrize("elites", [-1, 14, 20])
def test_as_many_elites_as_genomes_are_refused(cube, elites):
    with pytest.raises(ConfigError, match=rf"in \[0, 13\], .*, got {elites}; set optimizer\.elit"):
        Genetic(cube(2), population=14, elites=elites)


def test_a_population_of_one_is_refused(cube):
    with pytest.raises(ConfigError, match=r"at least 2, got 1; set optimizer\.population"):
        Genetic(cube(2), population=1)


def test_genomes_are_diverse_at_first_and_less_so_later(cube, evolve):
    optimizer = Genetic(cube(4))
    evolve(optimizer, sphere(0.3), 1)
    first = optimizer.facts["diversity"]
    evolve(optimizer, sphere(0.3), 20)
    assert optimizer.facts["diversity"] < 0.7 * first


def generations(optimizer, sets):
    """Ask and tell once for each set of items; return how many were asked again each time."""
    found = []
    for items in sets:
        genomes = optimizer.ask()
        found.append(sum(origin.operator == "elite" for origin in optimizer.origins))
        fitness = genomes.sum(axis=1)
        optimizer.tell(genomes, fitness, Details(sets=(items,) * len(genomes)))
    return found


def test_nobody_is_asked_again_while_the_items_stay_the_same(cube):
    # Of one generation nobody knows.
    assert generations(Genetic(cube(3), population=8), "aaaa") == [0, 2, 0, 0]
    assert generations(Genetic(cube(3), population=8), "abcc") == [0, 2, 2, 2]


def test_elites_stay_also_where_they_are_not_asked_again(cube):
    optimizer = Genetic(cube(3), population=8, seed=1)
    generations(optimizer, "aaa")
    best = []
    for _ in range(6):
        best.append(optimizer.facts["elites"][0]["fitness"])
        generations(optimizer, "a")
    assert best == sorted(best)


def test_an_elite_that_lost_its_place_is_told_in_vain(cube):
    optimizer = Genetic(cube(2), population=4, elites=1, seed=0)
    first = optimizer.ask()
    optimizer.tell(first, np.array([0.5, 0.1, 0.2, 0.3]))
    ahead = [optimizer.ask(), optimizer.ask()]
    assert all((genomes[0] == first[0]).all() for genomes in ahead)
    # Number 4: the elite, who fails to convince; of the others one is better.
    optimizer.tell(ahead[0], np.array([-9.0, 1.0, 0.0, 0.0]))
    optimizer.tell(ahead[1], np.array([9.0, 0.0, 0.0, 0.0]), Details(numbers=(8, 9, 10, 11)))
    assert optimizer.facts["elites"] == [{"number": 5, "told": 1, "fitness": 1.0}]
