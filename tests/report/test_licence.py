import pytest

from evoforge.report.licence import strictest


@pytest.mark.parametrize(
    ("licences", "wanted"),
    [
        (["mit", "mit"], "mit"),
        (["apache-2.0", "mit", "cc0-1.0"], "apache-2.0"),
        (["MIT", "llama3"], "llama3"),
        (["gpl-3.0", "llama3"], "other"),
        (["mit", None], "other"),
        ([], "other"),
    ],
)
def test_the_strictest_licence_is_one_that_asks_for_no_less_than_the_others(licences, wanted):
    assert strictest(licences) == wanted
