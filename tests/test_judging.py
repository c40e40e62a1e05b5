"""Judging: what was answered once is never asked again."""

import pytest

from evoforge.errors import MergeError
from evoforge.executor.local import Local
from evoforge.judging import Asked, Judging
from evoforge.merge.base import Mergers
from tests.loop import Search


@pytest.fixture
def bench(pico, tmp_path):
    """A search whose evaluator counts the items that it is asked."""
    search = Search(pico, tmp_path / "run")
    yield Bench(search)
    search.journal.close()


class Bench:
    def __init__(self, search):
        self.record = search.record
        self.items = search.task.items("search")
        self.recipes = [search.merger.recipe(search.merger.space.init * s) for s in (0.5, 1.0)]
        self.asked = []
        mergers = Mergers(search.pool)
        evaluator = search.evaluator

        def evaluate(job):
            self.asked.append([item.id for item in job.items])
            return evaluator.evaluate(mergers.build(job.recipe), job.items, proxy=job.proxy)

        self.evaluator = evaluator
        self.judging = Judging(search.journal, search.task, Local(evaluate))

    def judge(self, *asked, **more):
        return self.judging.evaluate([Asked(self.recipes[r], items) for r, items in asked], **more)

    def evaluation(self, judged):
        return self.record.evaluation(judged.number, with_items=True)


def ids(items):
    return [item.id for item in items]


def test_only_items_that_were_never_asked_are_asked(bench):
    bench.judge((0, bench.items[:4]))
    (judged,) = bench.judge((0, bench.items[2:7]))
    assert bench.asked == [ids(bench.items[:4]), ids(bench.items[4:7])]
    assert [r.item for r in bench.evaluation(judged).results] == ids(bench.items[2:7])
    assert bench.record.count("items") == 7


def test_an_evaluation_made_of_two_answers_is_the_one_made_of_one(bench):
    (whole,) = bench.judge((0, bench.items))
    found = bench.evaluation(whole)
    bench.judge((1, bench.items))
    other = bench.evaluation(bench.judge((1, bench.items[::2]))[0])
    assert found.score == pytest.approx(sum(r.score for r in found.results) / 12)
    assert other.score == pytest.approx(sum(r.score for r in other.results) / 6)
    assert other.metrics == {"acc": pytest.approx(other.score)}


def test_what_is_all_known_costs_nothing(bench):
    bench.judge((0, bench.items))
    (judged,) = bench.judge((0, bench.items[3:5]))
    assert len(bench.asked) == 1
    assert bench.evaluation(judged).seconds == {}


def test_the_same_recipe_twice_is_evaluated_once(bench):
    found = bench.judge((0, bench.items), (1, bench.items), (0, bench.items))
    assert [judged.place for judged in found] == [0, 1, 2]
    assert found[0].number == found[2].number
    assert len(bench.asked) == 2


def test_an_evaluation_on_record_is_read_back(bench):
    (first,) = bench.judge((0, bench.items))
    (again,) = bench.judge((0, bench.items))
    assert again == first


def test_each_is_reported_in_the_transaction_that_records_it(bench):
    seen = []

    def done(judged):
        assert bench.judging.journal._connection.in_transaction
        seen.append(judged.place)

    bench.judge((0, bench.items), (1, bench.items), done=done)
    assert seen == [0, 1]


def test_a_failure_has_the_whole_set_and_keeps_what_was_known(bench):
    bench.judge((0, bench.items[:4]))

    def fail(*given):
        raise MergeError("made to fail")

    bench.evaluator.answer = fail
    (judged,) = bench.judge((0, bench.items[:6]))
    found = bench.evaluation(judged)
    assert (found.status, found.results, found.fitness) == ("failed", (), float("-inf"))
    assert bench.record.items(found.item_set) == tuple(ids(bench.items[:6]))
    assert bench.record.count("items") == 4


def test_items_that_weigh_differently_keep_their_weights_on_record(bench):
    task = bench.judging._task
    task.weights = lambda items: tuple([0.5] + [0.5 / (len(items) - 1)] * (len(items) - 1))
    (judged,) = bench.judge((0, bench.items[:5]))
    found = bench.evaluation(judged)
    weights = bench.record.weights(found.item_set)
    assert weights == (0.5, 0.125, 0.125, 0.125, 0.125)
    scores = [result.score for result in found.results]
    assert found.score == pytest.approx(sum(w * s for w, s in zip(weights, scores, strict=True)))


def test_a_proxy_is_another_subject(bench, monkeypatch):
    class Proxy:
        """The same items, scored the other way."""

        def __init__(self, task):
            self.task = task

        def __getattr__(self, name):
            return getattr(self.task, name)

        def protocol_hash(self, part):
            return f"proxy of {part}"

    task = bench.judging._task
    monkeypatch.setattr(type(task), "proxy", property(Proxy))
    bench.judge((0, bench.items))
    (judged,) = bench.judging.evaluate([Asked(bench.recipes[0], bench.items, proxy=True)])
    assert bench.evaluation(judged).proxy
    assert len(bench.asked) == 2
