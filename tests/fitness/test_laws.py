"""What every fitness policy must keep, for every option in conf/fitness."""

import random

import numpy as np
import pytest

from evoforge.config import build


@pytest.fixture
def make(fitness_option, compose, items):
    """Return a maker of policies over ten items, four to a generation where that is asked."""
    node = compose(f"fitness={fitness_option}")["fitness"]

    def build_one(**changes):
        small = {"size": 4} if "size" in node else {}
        return build({**node, **small, **changes}, "fitness", items=items)

    return build_one


def test_every_generation_has_items_of_the_task_once_and_in_order(make, items):
    policy = make()
    for generation in range(12):
        found = policy.items(generation)
        places = [items.index(item) for item in found]
        assert places == sorted(set(places))
        assert places


def test_a_generation_has_the_same_items_whenever_it_is_asked(make):
    forward, backward = make(), make()
    first = [forward.items(generation) for generation in range(12)]
    second = [backward.items(generation) for generation in reversed(range(12))]
    assert first == second[::-1]


def test_global_generators_neither_matter_nor_change(make):
    np.random.seed(1)
    first = make().items(3)
    random.seed(2)
    np.random.seed(2)
    before = np.random.get_state()[1].copy(), random.getstate()
    assert make().items(3) == first
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert random.getstate() == before[1]


def test_every_item_is_used_some_time(make, items):
    policy = make()
    used = {item.id for generation in range(40) for item in policy.items(generation)}
    assert used == {item.id for item in items}
