"""What every executor must keep, for every option in conf/executor; and every one with workers."""

import json
import logging
import os

import pytest

from evoforge.config import build
from evoforge.errors import ConfigError, SearchError
from tests.executor.trouble import dying, evaluate, made_there, refusing


@pytest.fixture
def executor(executor_option, crews):
    return crews(executor_option)


@pytest.fixture
def crew(crew_kind, crews):
    return crews(crew_kind)


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


def test_closing_twice_does_no_harm(executor_option, compose, request):
    if executor_option == "ray":
        request.getfixturevalue("ray_cluster")
    node = compose(f"executor={executor_option}")["executor"]
    made = build(node, "executor", evaluate=evaluate, make=made_there)
    made.close()
    made.close()


def test_a_worker_that_dies_is_replaced_and_its_job_repeated(crew, jobs, trouble, caplog):
    found = list(crew.run([*jobs(4), trouble("die", 5), *jobs(6, 7)]))
    assert [evaluation.fitness for evaluation in found] == [4, 5, 6, 7]
    assert "for want of memory" in caplog.text


def test_a_job_that_kills_two_workers_has_failed(crew, jobs, trouble):
    failed, ok = crew.run([trouble("die", 5, times=2), *jobs(6)])
    assert (failed.status, failed.fitness, ok.fitness) == ("failed", float("-inf"), 6)
    assert failed.reason.startswith("its worker ")
    assert failed.reason.endswith("(2 times)")
    assert "for want of memory" in failed.reason


def test_a_frozen_worker_is_replaced_and_its_job_repeated(crew, jobs, trouble, caplog):
    found = list(crew.run([trouble("freeze", 5), *jobs(6)]))
    assert [evaluation.fitness for evaluation in found] == [5, 6]
    assert "said nothing for 3 s" in caplog.text


def test_a_fault_of_ours_ends_the_run_with_its_traceback_in_the_log(crew, trouble, jobs, caplog):
    with pytest.raises(RuntimeError, match="a worker failed.*ZeroDivisionError: a fault of evof"):
        list(crew.run([trouble("break")]))
    assert "raise ZeroDivisionError" in caplog.text
    # What comes next has new workers.
    assert [evaluation.fitness for evaluation in crew.run(jobs(1))] == [1]


def test_a_mistake_of_the_user_ends_the_run_in_its_own_sentence(crew, trouble):
    with pytest.raises(ConfigError, match=r"^the option is wrong; set it right$"):
        list(crew.run([trouble("refuse")]))


def test_workers_that_cannot_be_built_say_why_before_the_run(crew_kind, crews):
    with pytest.raises(ConfigError, match=r"^there is no such device; set evaluator.device$"):
        crews(crew_kind, make=refusing).start()


def test_workers_that_die_as_they_start_end_the_run(crew_kind, crews, jobs):
    with pytest.raises(SearchError, match="no worker can start: it "):
        list(crews(crew_kind, "executor.workers=1", make=dying).run(jobs(1)))


def test_what_workers_print_stays_off_the_terminal(crew, jobs, trouble, capfd, caplog):
    caplog.set_level(logging.INFO)
    assert len(list(crew.run([trouble("speak"), *jobs(2, 3)]))) == 3
    out, err = capfd.readouterr()
    assert "not for the terminal" not in out
    assert "nor is this" not in err
    assert [r.getMessage() for r in caplog.records if r.name == "evoforge.toy"] == ["worth knowing"]


def test_workers_have_their_threads_and_the_folder_of_the_search(crew_kind, crews, trouble):
    executor = crews(crew_kind, "executor.threads=3")
    (found,) = executor.run([trouble("tell")])
    facts = json.loads(found.reason)
    assert facts["pid"] != os.getpid()
    assert (facts["threads"], facts["device"], facts["gpus"]) == ("3", None, "")
    assert facts["folder"] == str(os.getcwd())  # noqa: PTH109
