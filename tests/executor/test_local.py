import pytest

from evoforge.executor.local import Local
from tests.executor.conftest import evaluate


@pytest.fixture
def done():
    return []


@pytest.fixture
def local(done):
    """An executor that notes what it does."""

    def noted(job):
        done.append(job.recipe.content["number"])
        return evaluate(job)

    return Local(noted)


def test_nothing_is_done_before_a_result_is_asked_for(local, jobs, done):
    local.run(jobs(1, 2, 3))
    assert done == []


def test_jobs_are_done_one_after_the_other_as_results_are_taken(local, jobs, done):
    results = local.run(jobs(1, 2, 3))
    for number in (1, 2, 3):
        assert next(results).fitness == number
        assert done == list(range(1, number + 1))
    assert next(results, None) is None


def test_an_error_of_ours_is_not_hidden(jobs):
    def broken(job):
        raise RuntimeError("a fault of evoforge")

    with pytest.raises(RuntimeError, match="a fault of evoforge"):
        list(Local(broken).run(jobs(1)))
