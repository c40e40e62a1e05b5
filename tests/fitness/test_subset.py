import pytest

from evoforge.errors import ConfigError
from evoforge.fitness.subset import Subset


def subsets(items, generations, **options):
    policy = Subset(items, **options)
    return [next(policy.course(generation, 1)).items[0] for generation in range(generations)]


@pytest.mark.parametrize("size", [1, 3, 7, 10])
def test_every_generation_has_as_many_items_as_asked(items, size):
    assert {len(subset) for subset in subsets(items, 12, size=size)} == {size}


def test_all_items_are_used_before_any_is_used_again(items):
    # Ten items are five deals of two.
    for start in (0, 5, 10):
        dealt = subsets(items, 15, size=2)[start : start + 5]
        assert sorted(item.id for subset in dealt for item in subset) == list("0123456789")


def test_items_are_not_repeated_while_enough_are_left(items):
    # Ten items are three deals of three; one is left over.
    dealt = [item.id for subset in subsets(items, 3, size=3) for item in subset]
    assert len(set(dealt)) == 9


def test_every_round_is_shuffled_anew(items):
    rounds = subsets(items, 10, size=2)
    assert rounds[:5] != rounds[5:]


def test_the_same_seed_deals_the_same(items):
    assert subsets(items, 10, size=3, seed=4) == subsets(items, 10, size=3, seed=4)


def test_another_seed_deals_otherwise(items):
    assert subsets(items, 10, size=3, seed=4) != subsets(items, 10, size=3, seed=5)


def test_a_subset_of_all_is_all_in_order(items):
    assert subsets(items, 3, size=10) == [items] * 3


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_that_makes_no_sense_names_the_option(items, size):
    with pytest.raises(ConfigError, match=f"size must be at least 1, got {size}; set fitness.size"):
        Subset(items, size=size)
