import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.fitness.proxy_then_full import ProxyThenFull


def test_the_best_share_of_the_proxy_answers(items, follow):
    found = follow(ProxyThenFull(items, size=10, promote=0.5), 0, [1, 9, 2, 8])
    assert [now.proxy for now in found.rounds] == [True, False]
    assert sorted(found.rounds[1].items) == [1, 3]
    assert found.rounds[1].last


def test_who_was_screened_out_is_below_all_others_in_the_order_of_the_proxy(items, follow):
    fitness = follow(ProxyThenFull(items, size=10, promote=0.5), 0, [1, 9, 2, 8]).fitness
    assert np.argsort(fitness).tolist() == [0, 2, 3, 1]
    assert fitness[[1, 3]].tolist() == [0.9, 0.8]


def test_the_proxy_may_look_at_fewer_items(items, follow):
    found = follow(ProxyThenFull(items, size=8, screen=3, promote=0.5), 0, [1, 9])
    assert [len(next(iter(now.items.values()))) for now in found.rounds] == [3, 8]
    assert set(found.rounds[0].items[0]) <= set(found.rounds[1].items[1])


def test_at_least_one_candidate_answers(items, follow):
    found = follow(ProxyThenFull(items, size=10, promote=0.01), 0, [1, 9])
    assert sorted(found.rounds[1].items) == [1]


def test_it_says_that_it_needs_a_proxy(items):
    assert ProxyThenFull(items, size=10).uses_proxy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "set fitness.size"),
        ({"screen": 11}, "set fitness.screen"),
        ({"screen": 0}, "set fitness.screen"),
        ({"promote": 0.0}, "set fitness.promote"),
    ],
)
def test_options_that_make_no_sense_are_refused(items, options, message):
    with pytest.raises(ConfigError, match=message):
        ProxyThenFull(items, **{"size": 10, **options})
