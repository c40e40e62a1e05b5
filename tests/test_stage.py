import pytest

from evoforge.stage import Budget


# A quarter for the first search, three quarters for the second; minutes are the whole run's.
def test_a_budget_is_shared_between_searches():
    whole = Budget(evaluations=200, minutes=60)
    assert whole.part(0.0, 0.25) == Budget(evaluations=50, minutes=15)
    assert whole.part(0.25, 0.75) == Budget(evaluations=150, minutes=60)


@pytest.mark.parametrize("limits", [{"evaluations": 7}, {"minutes": 3.0}])
def test_the_only_search_has_all_of_it(limits):
    assert Budget(**limits).part(0.0, 1.0) == Budget(**limits)


@pytest.mark.parametrize("evaluations", [7, 35, 208, 1001])
@pytest.mark.parametrize("share", [0.5, 0.3, 0.75])
def test_two_searches_never_have_more_than_the_run(evaluations, share):
    whole = Budget(evaluations=evaluations)
    first, second = whole.part(0.0, share), whole.part(share, 1 - share)
    assert first.evaluations + second.evaluations == evaluations
