"""What every fitness policy must keep, for every option in conf/fitness."""

import random
from itertools import pairwise

import numpy as np
import pytest

from evoforge.config import build

SKILLS = [2, 9, 5, 7]


@pytest.fixture
def make(fitness_option, compose, items):
    """Return a maker of policies over ten items, four to a generation where that is asked."""
    node = compose(f"fitness={fitness_option}")["fitness"]

    def build_one(**changes):
        small = {key: value for key, value in (("size", 4), ("block", 2)) if key in node}
        return build({**node, **small, **changes}, "fitness", items=items)

    return build_one


def test_a_round_has_items_of_the_task_once_and_in_order(make, items, follow):
    policy = make()
    for generation in range(12):
        for now in follow(policy, generation, SKILLS).rounds:
            for some in now.items.values():
                places = [items.index(item) for item in some]
                assert places == sorted(set(places))
                assert places


def test_as_many_items_are_the_same_items(make, follow):
    policy = make()
    for generation in range(12):
        found = follow(policy, generation, SKILLS)
        sets = {some for now in found.rounds for some in now.items.values()}
        assert len({len(some) for some in sets}) == len(sets)


def test_items_once_answered_stay_in_later_rounds(make, follow):
    found = follow(make(), 0, SKILLS)
    rounds = [now for now in found.rounds if not now.proxy]
    for before, after in pairwise(rounds):
        for position, some in after.items.items():
            assert set(before.items[position]) < set(some)


def test_only_the_last_round_may_be_called_the_last(make, follow):
    rounds = follow(make(), 0, SKILLS).rounds
    assert [now.last for now in rounds[:-1]] == [False] * (len(rounds) - 1)


def test_everyone_takes_part_in_the_first_round(make, follow):
    assert sorted(follow(make(), 0, SKILLS).rounds[0].items) == [0, 1, 2, 3]


def test_a_generation_goes_the_same_way_whenever_it_is_asked(make, follow):
    forward, backward = make(), make()
    first = [follow(forward, generation, SKILLS).rounds for generation in range(12)]
    second = [follow(backward, generation, SKILLS).rounds for generation in reversed(range(12))]
    assert first == second[::-1]


def test_global_generators_neither_matter_nor_change(make, follow):
    np.random.seed(1)
    first = follow(make(), 3, SKILLS).rounds
    random.seed(2)
    np.random.seed(2)
    before = np.random.get_state()[1].copy(), random.getstate()
    assert follow(make(), 3, SKILLS).rounds == first
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert random.getstate() == before[1]


def test_every_item_is_used_some_time(make, items, follow):
    policy = make()
    used = {item.id for generation in range(40) for item in follow(policy, generation, [5]).items}
    assert used == {item.id for item in items}


def test_who_answers_everything_is_best_and_who_answers_nothing_is_worst(make, follow):
    fitness = follow(make(), 0, [0, 10, 0, 10]).fitness
    assert fitness.shape == (4,)
    assert fitness.dtype == np.float64
    assert min(fitness[1], fitness[3]) >= max(fitness[0], fitness[2])
    assert fitness.max() > fitness.min()


def test_a_failure_is_minus_infinity_and_leaves_the_race(make, follow):
    found = follow(make(), 0, SKILLS, failing=(1,))
    assert found.fitness[1] == -np.inf
    assert np.isfinite(np.delete(found.fitness, 1)).all()
    assert all(1 not in now.items for now in found.rounds[1:])


def test_a_generation_of_failures_is_minus_infinity(make, follow):
    assert (follow(make(), 0, SKILLS, failing=range(4)).fitness == -np.inf).all()


def test_a_single_candidate_has_a_fitness(make, follow):
    assert np.isfinite(follow(make(), 0, [5]).fitness).all()
