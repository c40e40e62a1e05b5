import pytest

from evoforge.errors import ConfigError
from evoforge.merge.breadcrumbs import Breadcrumbs


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(Breadcrumbs(pool), density=0.5, gamma=0.125),
        "0.8 -1.15 1.89375 0.25 1.5 0.58125 -0.7125 -1.75",
    )


def test_golden_vector_where_no_outlier_is_dropped(pool, golden):
    # gamma n below 1: a known trap, in which the whole task vector gets lost.
    golden.check(
        golden.merge(Breadcrumbs(pool), density=0.5, gamma=0.01),
        "0.8 -1 1.8 0.55 0.9 0.98125 -0.7875 -1.75",
    )


def test_everything_kept_is_task_arithmetic(pool, golden):
    golden.check(
        golden.merge(Breadcrumbs(pool), density=1.0, gamma=0.0),
        "0.775 -1.15 1.96875 0.55 0.9375 0.98125 -0.7125 -1.7875",
    )


def test_gamma_and_density_above_one_together_keep_what_is_left(pool, golden):
    # Of eight elements the two largest are dropped (gamma 0.25); six are left, not 0.9 x 8.
    found = golden.merge(Breadcrumbs(pool), "b", weight=1.0, density=0.9, gamma=0.25)
    golden.check(found, "0.25 -1.5 2.3125 0.25 1.625 0.4375 -0.75 -2")


def test_a_density_of_almost_nothing_keeps_nothing(pool, golden):
    found = golden.merge(Breadcrumbs(pool), density=0.01, gamma=0.1)
    golden.check(found, "0.5 -1 2 0.25 1.5 0 -0.75 -2")


def test_gamma_out_of_range_names_the_option(pool):
    with pytest.raises(
        ConfigError, match=r"gamma must be in \[0, 0.999\], got 1.5; set merge.gamma"
    ):
        Breadcrumbs(pool, gamma=1.5)
