import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoforge.record import ItemResult
from evoforge.report.statistics import (
    agresti_min,
    bootstrap,
    interval,
    mcnemar,
    paired,
    sign_flip,
    wilson,
)


def results(*scores):
    return [ItemResult(f"item-{i}", score, {}, "", 0) for i, score in enumerate(scores)]


def test_wilson_of_eight_in_ten():
    # z^2 = 3.8415; centre (0.8 + 0.19207) / 1.38415 = 0.71674;
    # half 1.95996 * sqrt(0.016 + 0.0096037) / 1.38415 = 0.22658.
    assert wilson(8, 10) == pytest.approx((0.49016, 0.94332), abs=1e-5)


def test_wilson_of_none_reaches_zero_and_has_width():
    # low 0; high z^2 / (n + z^2) = 3.8415 / 13.8415 = 0.27753.
    assert wilson(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_symmetric_and_holds_the_proportion(drawn):
    right, total = drawn
    low, high = wilson(right, total)
    other_low, other_high = wilson(total - right, total)
    assert 0 <= low <= right / total <= high <= 1
    assert (low, high) == pytest.approx((1 - other_high, 1 - other_low), abs=1e-12)


def test_wilson_narrows_with_more_items():
    widths = [high - low for low, high in (wilson(n // 2, n) for n in (10, 50, 250, 1000))]
    assert widths == sorted(widths, reverse=True)


def test_interval_of_right_and_wrong_is_wilsons():
    assert interval([1, 1, 1, 1, 1, 1, 1, 1, 0, 0]) == (0.8, *wilson(8, 10))


def test_interval_of_graded_scores_is_the_bootstraps():
    scores = [0.1, 0.5, 0.5, 0.9]
    assert interval(scores) == (0.5, *bootstrap(np.array(scores)))


def test_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one score"):
        interval([])


def test_bootstrap_agrees_with_the_normal_interval():
    values = np.random.default_rng(0).random(500)
    low, high = bootstrap(values)
    half = 1.96 * values.std() / math.sqrt(500)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.004)


def test_bootstrap_gives_the_same_twice():
    values = np.random.default_rng(1).random(60)
    assert bootstrap(values) == bootstrap(values)


def test_bootstrap_of_equal_scores_has_no_width():
    assert bootstrap(np.full(7, 0.3)) == pytest.approx((0.3, 0.3), abs=1e-15)


def test_mcnemar_of_nine_wins_and_one_loss():
    # 2 * (C(10, 0) + C(10, 1)) / 2^10 = 22 / 1024.
    assert mcnemar(9, 1) == 22 / 1024


def test_mcnemar_without_any_difference_is_one():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 5) == 1.0


def test_mcnemar_of_thousands_is_finite():
    assert 0 < mcnemar(2200, 2000) < 0.01


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_symmetric_and_falls_with_more_wins(wins, losses):
    assert mcnemar(wins, losses) == mcnemar(losses, wins)
    if wins >= losses:
        assert mcnemar(wins + 1, losses) <= mcnemar(wins, losses)


def test_agresti_min_by_hand():
    # b = 9.5, c = 1.5, N = 22: centre 8 / 22 = 0.36364;
    # half 1.95996 / 22 * sqrt(11 - 64 / 22) = 0.08909 * 2.84445 = 0.25341.
    assert agresti_min(9, 1, 20) == pytest.approx((0.11023, 0.61705), abs=1e-5)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_agresti_min_holds_the_difference(wins, losses, ties):
    total = wins + losses + ties + 1
    low, high = agresti_min(wins, losses, total)
    assert low <= (wins - losses) / total <= high
    assert agresti_min(losses, wins, total) == pytest.approx((-high, -low))


def test_sign_flip_counts_every_pattern_of_few_items():
    # |+-1 +-2 +-3| >= 6 for 2 of the 8 patterns; the zero takes no part.
    assert sign_flip(np.array([1.0, 2.0, 3.0, 0.0])) == 2 / 8
    # |sum| = 2: patterns with |sum| >= 2 are 6 of 8 (sums 6, 4, 2, 0, 0, -2, -4, -6).
    assert sign_flip(np.array([1.0, -2.0, 3.0])) == 6 / 8


def test_sign_flip_without_any_difference_is_one():
    assert sign_flip(np.zeros(5)) == 1.0


def test_sign_flip_drawn_is_near_the_exact():
    differences = np.array([1.0] * 12 + [-1.0] * 4)
    # Binary differences make it McNemar's test.
    assert sign_flip(differences) == pytest.approx(mcnemar(12, 4), abs=0.01)
    assert sign_flip(differences) == sign_flip(-differences)


def test_paired_right_and_wrong():
    found = paired(results(1, 1, 1, 0), results(0, 1, 0, 0))
    assert (found.difference, found.wins, found.losses) == (0.5, 2, 0)
    # 2 * C(2, 0) / 2^2 = 0.5.
    assert (found.p, found.test) == (0.5, "exact McNemar test")
    assert found.low < 0.5 < found.high


def test_paired_graded():
    found = paired(results(0.5, 0.25, 1.0), results(0.25, 0.25, 0.0))
    assert found.difference == pytest.approx(1.25 / 3)
    # Two differences, both positive: 2 of 4 patterns are as far out.
    assert (found.p, found.wins, found.losses) == (0.5, 2, 0)
    assert found.test == "paired permutation test"


def test_paired_matches_by_item_and_not_by_order():
    one, two = results(1, 0, 1), results(0, 0, 1)
    assert paired(one, two[::-1]) == paired(one, two)


def test_paired_refuses_other_items():
    with pytest.raises(ValueError, match=r"same items.*item-2"):
        paired(results(1, 0, 1), results(1, 0))


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_paired_turns_round(pairs):
    one, two = (results(*column) for column in zip(*pairs, strict=True))
    there, back = paired(one, two), paired(two, one)
    assert there.difference == -back.difference
    assert there.p == back.p
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
