import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer._crossover import CROSSOVERS
from evoforge.optimizer._mutation import MUTATIONS
from evoforge.optimizer._variation import Variation, repeated


def variation(space, seed=0, **options):
    return Variation(space, np.random.default_rng(seed), **options)


def pairs(n, dim, seed=1):
    first, second = np.random.default_rng(seed).random((2, n, dim))
    numbers = np.column_stack([np.arange(n), n + np.arange(n)])
    return first, second, numbers


def test_a_child_names_what_made_it_and_of_whom(cube):
    vary = variation(cube(4), crossover="sbx", crossover_rate=0.5, mutation_rate=0.2)
    children, origins = vary.children(*pairs(400, 4))
    assert len(children) == len(origins) == 400
    names = {origin.operator: len(origin.parents) for origin in origins}
    assert names == {"sbx": 2, "sbx+gaussian": 2, "gaussian": 1}
    for number, origin in enumerate(origins):
        assert origin.parents in ((number,), (number, 400 + number))


def test_pairs_are_crossed_at_the_rate(cube):
    vary = variation(cube(4), crossover_rate=0.3)
    origins = vary.children(*pairs(3000, 4))[1]
    crossed = np.mean([len(origin.parents) == 2 for origin in origins])
    assert crossed == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("crossover", CROSSOVERS)
@pytest.mark.parametrize("mutation", [name for name in MUTATIONS if name != "none"])
def test_no_child_is_a_copy(mixed, crossover, mutation):
    # Parents that hardly differ, crossed into what they were.
    vary = variation(mixed(40), crossover=crossover, mutation=mutation, mutation_rate=0.0)
    first, second, numbers = pairs(30, 40)
    second = first.copy()
    second[:, 0] = 1 - first[:, 0]
    children, _ = vary.children(first, second, numbers)
    known = vary.genes.settled(np.concatenate([first, second]))
    assert not repeated(known, children).any()


def test_no_child_is_a_copy_of_what_is_known(cube):
    vary = variation(cube(1), crossover="uniform", crossover_rate=1.0, mutation_rate=0.0)
    first, second, numbers = np.array([[0.1]]), np.array([[0.2]]), [(0, 1)]
    child, origins = vary.children(first, second, numbers)
    assert child[0, 0] not in (0.1, 0.2)
    assert origins[0].operator == "uniform+gaussian"
    same = variation(cube(1), crossover="none", mutation="none")
    assert same.children(first, second, numbers, known=first)[0] == first


def test_without_operators_a_child_is_a_copy(cube):
    vary = variation(cube(3), crossover="none", mutation="none")
    first, second, numbers = pairs(5, 3)
    children, origins = vary.children(first, second, numbers)
    assert np.array_equal(children, first)
    assert {origin.operator for origin in origins} == {"copy"}


def test_a_parent_is_not_crossed_with_itself(cube):
    first, _, numbers = pairs(20, 3)
    origins = variation(cube(3), crossover="blx", crossover_rate=1.0).children(
        first, first, numbers
    )[1]
    assert all(len(origin.parents) == 1 for origin in origins)


def test_mutation_changes_one_gene_of_a_genome_on_average(cube):
    vary = variation(cube(20), crossover="none")
    first, second, numbers = pairs(2000, 20)
    changed = (vary.children(first, second, numbers)[0] != first).sum(1)
    # Binomial of mean 1, and the 36 % without a change get one: 1 + 0.95^20 = 1.358.
    assert changed.mean() == pytest.approx(1.358, abs=0.05)
    assert changed.min() == 1


def test_repeats_are_found_among_the_known_and_one_another():
    known = np.array([[0.1, 0.2]])
    born = np.array([[0.3, 0.4], [0.1, 0.2], [0.3, 0.4], [0.3, 0.2]])
    assert repeated(known, born).tolist() == [False, True, True, False]


def test_nobody_may_be_born(mixed):
    children, origins = variation(mixed(5)).children(
        np.empty((0, 5)), np.empty((0, 5)), np.empty((0, 2), dtype=int)
    )
    assert children.shape == (0, 5)
    assert origins == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crossover": "two_point"}, r"one of uniform, one_point, sbx, blx, none, got two_point"),
        ({"mutation": "cauchy"}, r"one of gaussian, .*, none, got cauchy; set optimizer\.mutation"),
        ({"crossover_rate": 1.5}, r"in \[0, 1\], got 1.5; set optimizer\.crossover_rate"),
        ({"mutation_rate": -0.1}, r"in \[0, 1\], got -0.1; set optimizer\.mutation_rate"),
        ({"crossover_eta": -1}, r"at least 0, got -1; set optimizer\.crossover_eta"),
        ({"mutation_eta": float("inf")}, r"at least 0, got inf; set optimizer\.mutation_eta"),
        ({"alpha": -0.5}, r"at least 0, got -0.5; set optimizer\.alpha"),
        ({"sigma": 0}, r"in \(0, 1\], got 0; set optimizer\.sigma"),
        ({"mutation": "flip"}, r"of which this space has none; set optimizer\.mutation"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(cube, options, message):
    with pytest.raises(ConfigError, match=message):
        variation(cube(3), **options)
