import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.optimizer._tellings import ENOUGH, Items, Tellings, values
from evoforge.optimizer.base import Details

A, B, C = np.eye(3)


def tell(found, genomes, values, items=None):
    """Ask and tell at once; return the places."""
    found.ask(np.array(genomes))
    sets = () if items is None else (items,) * len(genomes)
    return found.tell(np.array(genomes), np.array(values), Details(sets=sets))


@pytest.fixture
def told():
    """Return tellings of A and B, of A again, and of C, which failed, on other items each time."""
    found = Tellings(3)
    tell(found, [A, B], [[1.0], [4.0]], "i")
    tell(found, [C, A], [[np.nan], [3.0]], "j")
    return found


def test_who_was_told_more_than_once_has_the_mean(told):
    assert told.means[:2, 0].tolist() == [2.0, 4.0]
    assert told.counts.tolist() == [2, 1, 0]


def test_who_always_failed_has_no_mean_and_is_not_fine(told):
    assert np.isnan(told.means[2, 0])
    assert told.fine.tolist() == [0, 1]


def test_numbers_are_of_the_last_time_asked(told):
    assert told.numbers.tolist() == [3, 1, 2]


def test_a_genome_has_one_place(told):
    assert len(told) == 3
    assert tell(told, [B, A], np.ones((2, 1))).tolist() == [1, 0]
    assert np.array_equal(told.genomes, np.eye(3))


def test_a_genome_of_many_genes_is_kept_once():
    found = Tellings(4288)
    tell(found, np.random.default_rng(0).random((8, 4288)), np.ones((8, 1)))
    assert len(found) == 8
    assert sum(map(len, found._places)) < 1000


def test_the_least_told_are_due_first_and_of_equals_the_first_of_the_pool(told):
    tell(told, [C, B], np.ones((2, 1)), "k")
    # A and B twice, C once.
    assert told.due(np.array([1, 0, 2]), 2).tolist() == [2, 1]


def test_nobody_is_due_while_the_items_stay_the_same(told):
    tell(told, [B], np.ones((1, 1)), "j")
    assert len(told.due(np.array([0, 1]), 2)) == 0


def test_who_is_known_well_enough_is_not_due(told):
    for generation in range(ENOUGH):
        tell(told, [B], np.ones((1, 1)), str(generation))
    assert told.due(np.array([1, 0]), 2).tolist() == [0]


def test_who_is_asked_again_already_is_not_due(told):
    told.ask(np.array([C, B]))
    assert told.due(np.array([0, 1, 2]), 3).tolist() == [0]
    assert told.waiting.tolist() == [C.tolist(), B.tolist()]


def test_whoever_was_asked_may_be_told_by_number():
    found = Tellings(3)
    found.ask(np.array([A, B, C]))
    found.tell(np.array([C, A]), np.array([[3.0], [1.0]]), Details(numbers=(2, 0)))
    assert found.numbers.tolist() == [2, 0]
    assert found.waiting.tolist() == [B.tolist()]
    found.tell(np.array([B]), np.ones((1, 1)), Details(numbers=(1,)))
    assert found.numbers.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("sets", "change"),
    [
        ([("i", "i")], None),
        ([("i", "i"), ("i",)], False),
        ([("i", "i"), ("j",)], True),
        ([("i", "j")], True),
        ([("i", "")], None),
        ([("i",), ()], None),
        ([("i",), ("",), ("i",)], None),
        ([("i",), ("j",), ("j",)], False),
    ],
)
def test_items_change_if_the_last_two_times_differ_and_nobody_knows_from_one(sets, change):
    items = Items()
    for each in sets:
        items.see(Details(sets=each))
    assert items.change is change


def test_the_proven_were_told_more_than_once(told):
    assert told.proven(np.array([1, 0])).tolist() == [0]
    assert told.proven(np.array([1])).tolist() == [1]


def test_what_was_not_measured_is_named():
    with pytest.raises(ConfigError, match="must be told b, and was told a"):
        values(Details({"a": np.ones(2)}), ("a", "b"))
    with pytest.raises(ConfigError, match="was told fitness alone"):
        values(Details(), ("a",))
