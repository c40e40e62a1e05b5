import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoforge.record import ItemResult
from evoforge.report import resampling
from evoforge.report.resampling import bootstrap, sign_flip, strata
from evoforge.report.statistics import agresti_min, holm, interval, mcnemar, paired, wilson


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
    found = interval([1, 1, 1, 1, 1, 1, 1, 1, 0, 0])
    # s^2 = (8 * 0.04 + 2 * 0.64) / 9 = 0.17778; sqrt(s^2 / 10) = 0.13333.
    assert found == (0.8, *wilson(8, 10), pytest.approx(0.13333, abs=1e-5))


def test_interval_of_graded_scores_is_the_bootstraps():
    scores = [0.1, 0.5, 0.5, 0.9]
    assert interval(scores)[:3] == (0.5, *bootstrap(np.array(scores)))


def test_weights_that_are_equal_change_nothing():
    rng = np.random.default_rng(3)
    for scores in (rng.random(30), (rng.random(30) < 0.7).astype(float)):
        assert interval(scores, [1 / 30] * 30) == interval(scores)
        one, two = results(*scores), results(*rng.permutation(scores))
        even = {result.item: 1 / 30 for result in one}
        assert paired(one, two, even) == paired(one, two)


# Two classes that count the same: 8 items, half of them right, and 32, three quarters right.
BALANCED = [1.0] * 4 + [0.0] * 4 + [1.0] * 24 + [0.0] * 8
HALVES = [1 / 16] * 8 + [1 / 64] * 32


def test_a_weighted_score_by_hand():
    found = interval(BALANCED, HALVES)
    assert found.score == pytest.approx(0.625)  # (0.5 + 0.75) / 2
    # s^2 / n of the classes: (8 / 4 / 7) / 8 = 0.035714, (32 * 3 / 16 / 31) / 32 = 0.0060484;
    # sqrt(0.25 * 0.035714 + 0.25 * 0.0060484) = 0.10218.
    assert found.se == pytest.approx(0.10218, abs=1e-5)
    # Wilson's ends of 4 of 8 are 0.21522 and 0.78478, of 24 of 32 0.57893 and 0.86748:
    # 0.625 - sqrt(0.25 * 0.28478^2 + 0.25 * 0.17107^2) = 0.45889, and above likewise.
    assert (found.low, found.high) == pytest.approx((0.45889, 0.77903), abs=1e-5)


def test_weights_need_not_sum_to_one_and_zero_counts_nothing():
    scores = [*BALANCED, 1.0, 0.0, 0.3]
    more = [100 * weight for weight in HALVES] + [0.0] * 3
    assert interval(scores, more) == pytest.approx(interval(BALANCED, HALVES))


def test_items_of_no_weight_change_nothing():
    weights = [1 / 10] * 10 + [0.0] * 30
    right = [1.0] * 8 + [0.0] * 2
    assert interval(right + [0.3] * 30, weights) == interval(right)
    one, two = results(*right, *[1.0] * 30), results(*[0.0] * 10, *[0.0] * 30)
    found = paired(one, two, {f"item-{i}": weight for i, weight in enumerate(weights)})
    assert found == paired(one[:10], two[:10])
    assert (found.wins, found.test) == (8, "exact McNemar test")


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_a_weighted_score_without_any_spread_still_has_an_interval(right):
    found = interval([right] * 40, HALVES)
    # Wilson's ends of 8 of 8 and 32 of 32 are 0.67559 and 0.89282; half the root of the sum of the
    # squares of 0.32441 and 0.10718 is 0.17083.
    assert abs(found.low - right) + abs(found.high - right) == pytest.approx(0.17083, abs=1e-5)
    assert 0 <= found.low <= right <= found.high <= 1
    assert found.se == 0


@pytest.mark.parametrize("rare", [1, 2, 5])
def test_a_class_of_few_items_makes_a_wide_interval(rare):
    # All of the rare class are wrong, which says little: the truth may as well be 0.2.
    weights = [1 / 200] * 100 + [1 / (2 * rare)] * rare
    low, high = interval([1.0] * 100 + [0.0] * rare, weights)[1:3]
    assert low < 0.5
    assert high > 0.5 + 0.2 / 2


def test_items_of_rare_weights_are_drawn_from_together():
    weights = np.array([0.1] * 6 + [0.2, 0.05, 0.0, 0.05 + 1e-15])
    assert [group.tolist() for group in strata(weights)] == [[0, 1, 2, 3, 4, 5], [7, 9, 6]]
    assert interval(np.linspace(0, 1, 10), weights).se > 0
    # All different: weights alone do not tell of classes.
    assert len(strata(np.arange(1.0, 9.0))) == 1


def test_a_single_item_has_no_standard_error():
    assert interval([1.0]).se is None
    assert interval([0.3, 0.5], [1.0, 0.0]).se is None


# Weights tell three classes apart, and the interval holds the truth as often as it says.
def test_weighted_intervals_hold_what_they_say(monkeypatch):
    monkeypatch.setattr(resampling, "NUM_RESAMPLES", 300)
    rng = np.random.default_rng(0)
    sizes, skills = (60, 30, 15), (0.9, 0.6, 0.4)
    weights = np.repeat([1 / (3 * size) for size in sizes], sizes)
    ability = np.repeat(skills, sizes)
    found = [interval((rng.random(105) < ability).astype(float), weights) for _ in range(200)]
    truth = sum(skills) / 3
    held = np.mean([low <= truth <= high for _, low, high, _ in found])
    assert 0.9 <= held <= 0.99
    spread = np.std([score for score, *_ in found])
    assert np.mean([se for *_, se in found]) == pytest.approx(spread, rel=0.12)


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


def test_paired_weighted_by_hand():
    # One win of weight 0.6, two losses of 0.2: difference 0.2. Patterns of signs with a sum of at
    # least 0.2: |.6 + .2 + .2|, |.6 + .2 - .2| twice, |.6 - .2 - .2|: all four, and their mirrors.
    one, two = results(1, 0, 0), results(0, 1, 1)
    weights = dict(zip(("item-0", "item-1", "item-2"), (0.6, 0.2, 0.2), strict=True))
    found = paired(one, two, weights)
    assert found.difference == pytest.approx(0.2)
    assert (found.p, found.wins, found.losses) == (1.0, 1, 2)
    assert found.test == "paired permutation test"
    # Without weights the losses have it.
    assert paired(one, two).difference == pytest.approx(-1 / 3)


def test_paired_weights_go_by_item():
    one, two = results(1, 0, 1, 0.5), results(0, 0, 1, 0)
    weights = {"item-0": 0.7, "item-1": 0.1, "item-2": 0.1, "item-3": 0.1}
    assert paired(one, two, weights).difference == pytest.approx(0.75)
    assert paired(one[::-1], two, weights).difference == pytest.approx(0.75)


def test_the_paired_bootstrap_agrees_with_the_normal_test():
    rng = np.random.default_rng(5)
    one, two = rng.random(400) + 0.03, rng.random(400)
    found = paired(results(*one), results(*two))
    z = found.difference / found.se
    assert found.p_bootstrap == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), abs=0.02)
    assert found.p == pytest.approx(found.p_bootstrap, abs=0.02)


def test_the_paired_bootstrap_of_equals_is_one():
    assert paired(results(1, 0, 1), results(1, 0, 1)).p_bootstrap == 1.0


def test_holm_by_hand():
    # 0.01 * 3, 0.02 * 2, and 0.025 * 1 is raised to the one before it.
    found = holm({"a": 0.02, "b": 0.01, "c": 0.025})
    assert found == pytest.approx({"a": 0.04, "b": 0.03, "c": 0.04})
    assert list(found) == ["a", "b", "c"]
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.03}) == {"a": 0.03}
    assert holm({}) == {}


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8))
def test_holm_never_lowers_and_keeps_the_order(given_p):
    found = holm(given_p)
    assert all(given_p[name] <= found[name] <= 1 for name in given_p)
    ranked = sorted(given_p, key=lambda name: given_p[name])
    assert [found[name] for name in ranked] == sorted(found.values())


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
