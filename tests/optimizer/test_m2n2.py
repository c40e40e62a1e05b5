import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer.base import Details
from evoforge.optimizer.m2n2 import M2n2

NUM = 20
IDS = tuple(f"item{i}" for i in range(NUM))


def solved(genomes):
    """Two halves of the items, each solved by who is near the optimum of its own gene."""
    skill = 1 - 2 * np.abs(genomes[:, :2] - [0.2, 0.8])
    limits = np.linspace(0.1, 0.95, NUM // 2)
    return np.concatenate([skill[:, [0]] > limits, skill[:, [1]] > limits], axis=1).astype(float)


def search(optimizer, generations, size=NUM, seed=0):
    generator = np.random.default_rng(seed)
    for _ in range(generations):
        genomes = optimizer.ask()
        some = np.sort(generator.permutation(NUM)[:size])
        items = solved(genomes)[:, some]
        told = Details({}, (), items, tuple(IDS[i] for i in some))
        optimizer.tell(genomes, items.mean(axis=1), told)
    return optimizer


@pytest.mark.parametrize("size", [NUM, 8])
def test_both_halves_are_solved_also_if_the_items_change(cube, size):
    optimizer = search(M2n2(cube(4), seed=1), 20, size)
    best = optimizer.recommend()
    assert solved(best).mean(axis=1).max() >= 0.9
    assert optimizer.facts["archive"] == 20
    assert optimizer.facts["together"] >= optimizer.facts["best"] > 0.85


def test_who_solves_what_nobody_else_does_stays(cube):
    rare = np.array([[0.0, 0.8]])
    common = np.array([[1.0, 0.0]] * 5)
    genomes = np.arange(6)[:, None] / 10

    def together(**options):
        optimizer = M2n2(cube(1), population=6, archive=2, **options)
        optimizer.ask()
        items = np.concatenate([common, rare])
        optimizer.tell(genomes, items.mean(axis=1), Details({}, (), items, IDS[:2]))
        return optimizer.facts["together"]

    # Two of the common share one item, and the rare one has the other for itself.
    assert together() == pytest.approx(0.9)
    assert together(competition=0.0) == pytest.approx(0.5)


def test_the_second_parent_has_what_the_first_lacks(cube):
    # Three who solve the first item, one who solves the second: whoever is first, the other kind
    # is second.
    items = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    optimizer = M2n2(cube(2), population=4, crossover_rate=1.0, mutation="none", seed=0)
    optimizer.ask()
    genomes = np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.9, 0.9]])
    optimizer.tell(genomes, items.mean(axis=1), Details({}, (), items, IDS[:2]))
    for _ in range(10):
        optimizer.ask()
        for origin in optimizer.origins:
            assert 3 in origin.parents
            assert len(set(origin.parents)) == 2


def test_without_attraction_any_two_pair(cube):
    items = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    optimizer = M2n2(cube(2), population=4, crossover_rate=1.0, attraction=False, seed=0)
    optimizer.ask()
    genomes = np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.9, 0.9]])
    optimizer.tell(genomes, items.mean(axis=1), Details({}, (), items, IDS[:2]))
    pairs = set()
    for _ in range(10):
        optimizer.ask()
        pairs |= {frozenset(origin.parents) for origin in optimizer.origins}
    assert frozenset({0, 1}) in pairs


def test_negative_scores_are_food_too(cube):
    optimizer = M2n2(cube(1), population=3, archive=2)
    optimizer.ask()
    items = np.array([[-3.0, -3.0], [-1.0, -2.0], [-2.0, -1.0]])
    optimizer.tell(
        np.array([[0.1], [0.2], [0.3]]), items.mean(axis=1), Details({}, (), items, IDS[:2])
    )
    optimizer.ask()
    assert {p for origin in optimizer.origins for p in origin.parents} == {1, 2}


def test_failures_do_not_live(cube):
    optimizer = M2n2(cube(1), population=3)
    genomes = optimizer.ask()
    items = np.array([[np.nan, np.nan], [0.0, 0.0], [1.0, 0.0]])
    optimizer.tell(genomes, np.array([-np.inf, 0.0, 0.5]), Details({}, (), items, IDS[:2]))
    assert optimizer.facts["archive"] == 2


def test_a_generation_may_hold_given_starts_alone(cube):
    given = np.linspace(0.1, 0.9, 5)[:, None] * np.ones(2)
    optimizer = M2n2(cube(2).starting(given), population=2)
    for _ in range(2):
        search(optimizer, 1)
        assert [origin.operator for origin in optimizer.origins] == ["start", "start"]
    assert np.array_equal(optimizer.ask()[0], given[4])


def test_it_must_be_told_the_items(cube):
    optimizer = M2n2(cube(2), population=2)
    with pytest.raises(ConfigError, match="told the score of every item"):
        optimizer.tell(optimizer.ask(), np.ones(2))


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("archive", 1, "archive must be at least 2, got 1"),
        ("competition", -1, "competition must be at least 0, got -1"),
        ("attraction", "yes", "attraction must be true or false, got 'yes'"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(cube, option, value, sentence):
    with pytest.raises(ConfigError, match=rf"{sentence}; set optimizer\.{option}"):
        M2n2(cube(2), **{option: value})
