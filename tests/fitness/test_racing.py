from dataclasses import replace

import numpy as np
import pytest

from evoforge.errors import ConfigError
from evoforge.fitness.racing import Racing
from evoforge.task.base import Item

MANY = tuple(Item(str(i), f"{i}=", answer_number=float(i)) for i in range(100))


def race(follow, skills, **options):
    settings = {"size": 40, "block": 10, "keep": 0.25, **options}
    return follow(Racing(MANY, **settings), 0, skills)


def test_who_is_far_behind_answers_one_block_and_the_best_answer_all(follow):
    found = race(follow, [0, 95, 90, 0])
    assert [found.answered(p) for p in range(4)] == [10, 40, 40, 10]


def test_equals_stay_together(follow):
    found = race(follow, [50, 50, 50, 50])
    assert [found.answered(p) for p in range(4)] == [40] * 4
    assert len(set(found.fitness.tolist())) == 1


def test_the_best_share_stays_whatever_happens(follow):
    found = race(follow, [0, 95, 0, 0], keep=0.5)
    assert [found.answered(p) for p in range(4)] == [40, 40, 10, 10]


def test_the_fitness_of_one_that_left_is_the_leaders_less_its_lead(follow):
    found = race(follow, [0, 100])
    # The leader has everything right, the other nothing, in the first block and at the end.
    assert found.fitness.tolist() == [0.0, 1.0]


def test_a_lead_on_few_items_is_carried_over_to_the_end(follow):
    hand = Racing(MANY, size=40, block=10)._deal.hand(0)
    first = {item.id for item in hand[:10]}
    # The leader is right in the first block, and in half of the rest; the other never.
    half = {item.id for item in hand[10::2]}
    leader = lambda item: float(item.id in first or item.id in half)  # noqa: E731
    found = race(follow, [leader, 0], keep=0.5)
    # Its final score is 25 of 40; the lead after the first block was 1.
    assert found.fitness.tolist() == [0.625, -0.375]


def test_a_wide_margin_lets_nobody_go(follow):
    # 10 items with 5 differences of 1: the mean 0.5 is 3 standard errors of 0.167.
    def other(item):
        return float(int(item.id) % 2)

    found = race(follow, [100, other], margin=100.0, keep=0.5)
    assert found.answered(1) == 40


class Weighted(Racing):
    """A race whose evaluations come with weights, and a fitness of their own making."""

    def __init__(self, weigh, fitness=lambda p, count, score: score, **options):
        super().__init__(MANY, **{"size": 40, "block": 10, "keep": 0.25, **options})
        self.weigh, self.own = weigh, fitness

    def course(self, generation, population):
        inner = super().course(generation, population)
        now = next(inner)
        while True:
            found = yield now
            try:
                now = inner.send({p: self._judged(p, one) for p, one in found.items()})
            except StopIteration as stop:
                return stop.value

    def _judged(self, position, one):
        if not one.results:
            return replace(one, fitness=self.own(position, 40, one.score))
        weights = np.array([self.weigh(r.item) for r in one.results], dtype=np.float64)
        weights /= weights.sum()
        score = float(weights @ [r.score for r in one.results])
        fitness = self.own(position, len(one.results), score)
        return replace(one, score=score, fitness=fitness, weights=tuple(weights.tolist()))


def test_what_items_weigh_is_part_of_the_error(follow):
    # All that counts is one item of the first block and what comes later: no lead is sure yet.
    first = Racing(MANY, size=40, block=10)._deal.hand(0)[:10]
    lone, rest = first[0].id, {item.id for item in first[1:]}
    found = follow(Weighted(lambda item: item not in rest), 0, [0, 100])
    assert found.answered(0) > 10
    # Three items that agree are sure at once.
    few = {item.id for item in first[3:]}
    found = follow(Weighted(lambda item: item not in few), 0, [0, 100])
    assert lone not in few
    assert found.answered(0) == 10


def test_who_breaks_a_limit_on_few_items_is_not_out_of_the_race_for_it(follow):
    def limited(position, count, score):
        return -0.1 if position == 0 and count == 10 else score

    found = follow(Weighted(lambda item: 1.0, limited), 0, [90, 50, 50, 50])
    assert found.answered(0) == 40
    assert np.argmax(found.fitness) == 0


def test_who_left_is_below_who_wins_in_the_end(follow):
    # The third leads the winner in the first block, where the winner breaks a limit, and leaves.
    first = {item.id for item in Racing(MANY, size=40, block=10)._deal.hand(0)[:10]}

    def limited(position, count, score):
        return -0.1 if position == 0 and count == 10 else score

    skills = [100, lambda item: float(item.id in first), 0, 0]
    found = follow(Weighted(lambda item: 1.0, limited), 0, skills)
    assert found.answered(2) == 10
    assert np.argmax(found.fitness) == 0


def test_each_look_is_at_twice_as_many_items_and_the_last_at_all(follow):
    for size, looks in ((25, [10, 20, 25]), (80, [10, 20, 40, 80]), (10, [10])):
        found = race(follow, [50, 50], size=size)
        assert [len(now.items[0]) for now in found.rounds] == looks


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": 0}, "set fitness.block"),
        ({"block": 41}, "set fitness.block"),
        ({"margin": 0.0}, "set fitness.margin"),
        ({"keep": 0.0}, "set fitness.keep"),
        ({"keep": 1.5}, "set fitness.keep"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Racing(MANY, **{"size": 40, **options})


def test_a_race_costs_less_than_all_items_and_finds_the_same_best(follow):
    rng = np.random.default_rng(0)
    skills = rng.permutation(np.arange(20, 100, 5)).tolist()
    found = race(follow, skills)
    assert np.argmax(found.fitness) == int(np.argmax(skills))
    assert sum(found.answered(p) for p in range(16)) < 0.8 * 16 * 40


def test_a_race_over_fewer_items_than_its_size_ends_with_them(follow):
    found = race(follow, [50, 50], size=500, block=40)
    assert [len(now.items[0]) for now in found.rounds] == [40, 80, 100]
    assert found.rounds[-1].last
