"""What every executor must keep, for every option in conf/executor."""

import pytest

from evoforge.config import build
from tests.executor.conftest import evaluate, made_there


@pytest.fixture
def executor(executor_option, compose):
    node = compose(f"executor={executor_option}")["executor"]
    made = build(node, "executor", evaluate=evaluate, make=made_there)
    yield made
    made.close()


def test_results_come_in_the_order_of_the_jobs(executor, jobs):
    given = jobs(5, 3, 9, 1, 7, 3)
    found = list(executor.run(given))
    assert [evaluation.fitness for evaluation in found] == [5, 3, 9, 1, 7, 3]
    assert [evaluation.recipe for evaluation in found] == [job.recipe.hash for job in given]


def test_a_failure_is_a_result_among_the_others(executor, jobs):
    found = list(executor.run(jobs(1, -1, 2)))
    assert [evaluation.status for evaluation in found] == ["ok", "failed", "ok"]
    assert found[1].reason == "made to fail"


def test_no_jobs_give_no_results(executor):
    assert list(executor.run([])) == []


def test_one_generation_follows_another(executor, jobs):
    for numbers in ((1, 2), (3,), (4, 5, 6)):
        found = executor.run(jobs(*numbers))
        assert [evaluation.fitness for evaluation in found] == list(numbers)


def test_a_run_left_half_way_does_not_hinder_the_next(executor, jobs):
    left = executor.run(jobs(1, 2, 3))
    next(left)
    assert [evaluation.fitness for evaluation in executor.run(jobs(4, 5))] == [4, 5]


def test_results_are_taken_by_number_in_any_order(executor, jobs):
    numbers = [executor.submit(job) for job in jobs(4, 8, 6)]
    found = dict(executor.finished() for _ in numbers)
    assert [found[number].fitness for number in numbers] == [4, 8, 6]
    with pytest.raises(LookupError):
        executor.finished()


def test_what_is_forgotten_is_not_returned(executor, jobs):
    executor.submit(*jobs(1))
    executor.forget()
    number = executor.submit(*jobs(2))
    assert executor.finished()[0] == number


def test_closing_twice_does_no_harm(executor):
    executor.close()
    executor.close()
