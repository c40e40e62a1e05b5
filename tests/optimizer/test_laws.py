"""What every optimizer must keep, for every option in conf/optimizer."""

import json
import random
from dataclasses import replace
from functools import cache
from itertools import count

import numpy as np
import pytest
import torch

from evoforge.config import build
from evoforge.errors import ConfigError
from tests.optimizer.conftest import seen


@pytest.fixture(scope="module")
def node(compose):
    """Return what reads an option, once."""
    return cache(lambda option: compose(f"optimizer={option}")["optimizer"])


@pytest.fixture
def over(optimizer_option, node):
    """Return a maker of optimizers over a space: `over(cube(6), seed=1)`."""
    node = node(optimizer_option)
    return lambda space, **changes: build({**node, **changes}, "optimizer", space=space)


@pytest.fixture(params=["cube", "mixed"])
def make(request, over):
    """Return a maker of optimizers over numbers, and then over all kinds: `make(6, seed=1)`."""
    space = request.getfixturevalue(request.param)
    return lambda dim=6, init=0.5, **changes: over(space(dim, init), **changes)


# The longest laws last so many times shorter: optuna takes 5 ms for a genome, later ten times that;
# searches that know all that was told take the longer the more it is.
SLOW = {"tpe": 20, "nsga2": 4, "map_elites": 4, "cycle_qd": 4, "m2n2": 4}


@pytest.fixture
def lasting(optimizer_option):
    """Return what shortens a number of generations for slow optimizers, to two at least."""
    return lambda generations: max(2, generations // SLOW.get(optimizer_option, 1))


def uphill(genome):
    """Be best where every gene is 0.3."""
    return -float(((genome - 0.3) ** 2).sum())


def check(genomes, optimizer, generations=1):
    assert genomes.shape == (generations * optimizer.population, optimizer.space.dim)
    assert genomes.dtype == np.float64
    assert ((genomes >= 0) & (genomes <= 1)).all()
    assert all(optimizer.space.decode(genome) for genome in genomes)


@pytest.mark.parametrize("dim", [1, 2, 6, 40])
def test_genomes_are_in_the_cube_in_spaces_of_any_size(make, evolve, lasting, dim):
    optimizer = make(dim)
    generations = lasting(8)
    check(evolve(optimizer, uphill, generations)[0], optimizer, generations)


@pytest.mark.parametrize("init", [0.0, 1.0])
def test_the_start_may_lie_on_the_boundary(make, evolve, init):
    optimizer = make(init=init)
    evolve(optimizer, uphill, 5)
    check(optimizer.ask(), optimizer)


def test_the_same_seed_asks_the_same_whatever_happens_to_global_generators(make, evolve, lasting):
    asked = []
    for other in (1, 2):
        optimizer = make(seed=7)
        found = []
        for generation in range(lasting(12)):
            np.random.seed(other * 1000 + generation)
            random.seed(other)
            found.append(evolve(optimizer, uphill, 1)[0])
        asked.append(np.concatenate(found))
    assert asked[0].tobytes() == asked[1].tobytes()


def test_another_seed_asks_other_genomes(make):
    assert not np.array_equal(make(seed=1).ask(), make(seed=2).ask())


def test_two_optimizers_do_not_disturb_each_other(make, evolve):
    alone = evolve(make(seed=1), uphill, 6)[0]
    optimizer, neighbour = make(seed=1), make(seed=2)
    together = []
    for _ in range(6):
        together.append(evolve(optimizer, uphill, 1)[0])
        evolve(neighbour, uphill, 1)
    assert np.array_equal(alone, np.concatenate(together))


def test_global_generators_are_left_alone(make, evolve):
    np.random.seed(3)
    before = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    evolve(make(), uphill, 5)
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert random.getstate() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_replaying_what_was_told_goes_on_as_before(make, evolve):
    first = make(seed=5)
    genomes, fitness = evolve(first, uphill, 5)
    again = make(seed=5)
    for start in range(0, len(genomes), again.population):
        part = slice(start, start + again.population)
        assert np.array_equal(again.ask(), genomes[part])
        told = seen(genomes[part], fitness[part])
        again.tell(genomes[part].copy(), fitness[part].copy(), told)
    assert np.array_equal(first.ask(), again.ask())


def test_tell_does_not_change_its_arguments(make):
    optimizer = make()
    genomes = optimizer.ask()
    fitness = np.array([-np.inf, *map(uphill, genomes[1:])])
    before = genomes.copy(), fitness.copy()
    optimizer.tell(genomes, fitness, seen(genomes, fitness))
    assert np.array_equal(genomes, before[0])
    assert np.array_equal(fitness, before[1])


@pytest.mark.parametrize("dim", [1, 6])
def test_equal_fitness_for_sixty_generations_is_no_reason_to_stop(make, evolve, lasting, dim):
    optimizer = make(dim)
    evolve(optimizer, lambda genome: 0.5, lasting(60))
    check(optimizer.ask(), optimizer)


@pytest.mark.parametrize("dim", [1, 6])
def test_equal_fitness_for_sixty_generations_leaves_no_two_genomes_alike(
    over, cube, evolve, lasting, dim
):
    optimizer = over(cube(dim))
    evolve(optimizer, lambda genome: 0.5, lasting(60))
    assert len(np.unique(optimizer.ask(), axis=0)) == optimizer.population


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equal_fitness_for_sixty_generations_fixes_no_value(over, mixed, evolve, lasting, seed):
    optimizer = over(mixed(15), seed=seed)
    evolve(optimizer, lambda genome: 0.5, lasting(20))
    asked = evolve(optimizer, lambda genome: 0.5, lasting(40))[0]
    late = [optimizer.space.decode(genome) for genome in asked]
    for param in optimizer.space.params:
        seen = {values[param.name] for values in late}
        # Both values of a binary, and more than one of the others.
        assert len(seen) >= 2, param


def test_fitness_in_coarse_steps_for_sixty_generations_is_survived(make, evolve, lasting):
    optimizer = make()
    evolve(optimizer, lambda genome: round(uphill(genome), 1), lasting(60))
    check(optimizer.ask(), optimizer)


def test_a_search_that_has_long_converged_stays_in_the_cube(make, evolve, lasting):
    optimizer = make(2)
    evolve(optimizer, uphill, lasting(400))
    check(optimizer.ask(), optimizer)


def test_failures_among_the_fitness_are_survived(make, evolve, lasting):
    optimizer = make()
    evolve(optimizer, lambda genome: -np.inf if genome[0] > 0.5 else uphill(genome), 1)
    for _ in range(lasting(20)):
        genomes = optimizer.ask()
        fitness = np.full(len(genomes), -np.inf)
        fitness[0] = uphill(genomes[0])
        optimizer.tell(genomes, fitness, seen(genomes, fitness))
    check(optimizer.ask(), optimizer)


def test_the_population_can_be_set(make):
    assert make(population=5).ask().shape == (5, 6)


def test_origins_name_genomes_that_were_asked_before(make, evolve):
    optimizer = make()
    asked = 0
    for _ in range(8):
        genomes = optimizer.ask()
        assert len(optimizer.origins) in (0, len(genomes))
        for origin in optimizer.origins:
            assert origin.operator
            assert all(0 <= parent < asked for parent in origin.parents)
        fitness = np.array([uphill(genome) for genome in genomes])
        optimizer.tell(genomes, fitness, seen(genomes, fitness))
        asked += len(genomes)


def test_what_it_says_of_itself_can_be_kept_as_json(make, evolve):
    optimizer = make()
    evolve(optimizer, uphill, 4)
    json.dumps(optimizer.facts, allow_nan=False)


def test_given_starts_are_asked_first(make, over):
    space = make().space
    given = np.array([[0.25, 0.5, 0.5, 0.5, 0.5, 0.25], [0.75, 0.25, 0.5, 0.5, 0.5, 0.75]])
    optimizer = over(space.starting(given), population=8)
    asked = optimizer.ask()
    for start in given:
        wanted = space.decode(start)
        assert wanted in [space.decode(genome) for genome in asked[: len(given)]]


def test_more_given_starts_than_a_generation_holds_come_before_anything_else(make, over, evolve):
    space = make().space
    given = np.random.default_rng(0).random((12, space.dim))
    asked = evolve(over(space.starting(given), population=5), uphill, 4)[0]
    assert list(map(space.decode, asked[:12])) == list(map(space.decode, given))


def test_a_recommendation_is_in_the_cube_or_there_is_none(make, evolve):
    optimizer = make(init=0.0)
    for _ in range(5):
        found = optimizer.recommend()
        assert found.shape == (len(found), 6)
        assert ((found >= 0) & (found <= 1)).all()
        evolve(optimizer, lambda genome: float(genome.sum()), 2)


def told_ahead(optimizer, fitness, tellings, *, ahead=3, seed=0, size=None):
    """Tell whoever finishes, in a made-up order, of `ahead` generations that are under way.

    Returns what was asked, and the fitness of those told in each telling.
    """
    order = np.random.default_rng(seed)
    asked, told, waiting = [], [], []
    for _ in range(tellings):
        while len(waiting) < ahead * optimizer.population:
            waiting += range(len(asked), len(asked) + optimizer.population)
            asked += list(optimizer.ask())
            for origin in optimizer.origins:
                assert all(0 <= parent < len(asked) for parent in origin.parents)
        now = order.permutation(waiting)[: size or optimizer.population]
        waiting = [number for number in waiting if number not in now]
        genomes = np.array([asked[number] for number in now])
        found = np.array([fitness(genome) for genome in genomes])
        details = replace(seen(genomes, found), numbers=tuple(now.tolist()))
        optimizer.tell(genomes, found, details)
        told.append(found)
    return np.array(asked), told


def test_it_may_be_asked_ahead_and_told_in_any_order(make, lasting):
    optimizer = make()
    assert optimizer.steady
    asked, _ = told_ahead(optimizer, uphill, lasting(16))
    assert ((asked >= 0) & (asked <= 1)).all()
    check(optimizer.ask(), optimizer)
    json.dumps(optimizer.facts, allow_nan=False)


def test_told_in_another_order_it_asks_the_same_when_replayed(make, lasting):
    first, second = make(seed=3), make(seed=3)
    for optimizer in (first, second):
        told_ahead(optimizer, uphill, lasting(10))
    assert first.ask().tobytes() == second.ask().tobytes()
    assert first.recommend().tobytes() == second.recommend().tobytes()


def test_told_by_numbers_in_the_order_asked_it_is_told_as_without_them(make, evolve, lasting):
    one, other = make(seed=4), make(seed=4)
    evolve(one, uphill, lasting(6))
    asked = 0
    for _ in range(lasting(6)):
        genomes = other.ask()
        fitness = np.array([uphill(genome) for genome in genomes])
        numbers = tuple(range(asked, asked + len(genomes)))
        other.tell(genomes, fitness, replace(seen(genomes, fitness), numbers=numbers))
        asked += len(genomes)
    assert one.ask().tobytes() == other.ask().tobytes()


def test_few_may_be_told_at_a_time(make):
    optimizer = make()
    told_ahead(optimizer, uphill, 20, ahead=2, size=1)
    check(optimizer.ask(), optimizer)


def test_failures_among_those_told_ahead_are_survived(make, lasting):
    optimizer, calls = make(population=6), count()
    told_ahead(optimizer, lambda g: uphill(g) if next(calls) % 2 else -np.inf, lasting(12))
    check(optimizer.ask(), optimizer)


BLIND = ("random_search", "sobol")


def test_asked_ahead_it_still_finds_what_is_better(over, cube, optimizer_option, lasting):
    optimizer = over(cube(4), seed=1)
    if optimizer_option in BLIND or optimizer.per_item or optimizer.measures != ():
        pytest.skip("learns nothing, or from something else than fitness")
    _, told = told_ahead(optimizer, uphill, max(8, lasting(40)))
    assert np.median(np.concatenate(told[-4:])) > np.median(np.concatenate(told[:2]))


@pytest.mark.parametrize("population", [0, -1])
def test_a_population_that_is_too_small_names_the_option(make, population):
    with pytest.raises(ConfigError, match=rf"got {population}; set optimizer\.population"):
        make(population=population)
