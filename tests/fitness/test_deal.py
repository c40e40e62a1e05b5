from collections import Counter

import pytest

from evoforge.errors import ConfigError
from evoforge.fitness._deal import Deal
from evoforge.task.base import Item


def suite(**sizes):
    return [
        Item(f"{name}/{i}", f"{name} {i}", answer_number=0.0, stratum=name)
        for name, size in sizes.items()
        for i in range(size)
    ]


def counts(hand):
    return Counter(item.stratum for item in hand)


def test_a_hand_holds_as_many_of_each_task():
    deal = Deal(suite(a=40, b=10), 10, seed=0)
    assert all(counts(deal.hand(i)) == {"a": 5, "b": 5} for i in range(8))


def test_a_small_task_gives_all_it_has_and_the_others_the_rest():
    assert counts(Deal(suite(a=40, b=3, c=40), 13, seed=0).hand(0)) == {"a": 5, "b": 3, "c": 5}


def test_any_first_part_of_a_hand_is_mixed():
    hand = Deal(suite(a=40, b=40), 20, seed=0).hand(0)
    assert counts(hand[:6]) == {"a": 3, "b": 3}


def test_tasks_rotate_each_at_its_own_pace():
    deal = Deal(suite(a=40, b=10), 10, seed=0)
    hands = [deal.hand(i) for i in range(8)]
    assert len({item.id for hand in hands for item in hand if item.stratum == "a"}) == 40
    assert len({item.id for hand in hands[:2] for item in hand if item.stratum == "b"}) == 10


def test_a_hand_with_no_place_for_every_task_is_refused():
    with pytest.raises(ConfigError, match="at least the number of tasks, 3, got 2; set"):
        Deal(suite(a=3, b=3, c=3), 2, seed=0)


def test_fewer_items_than_a_hand_are_all_taken_and_that_is_said(caplog):
    deal = Deal(suite(a=3, b=2), 64, seed=0)
    assert len(deal.hand(0)) == len(deal.hand(1)) == deal.size == 5
    assert "there are 5 search items for fitness.size=64: all" in caplog.text
