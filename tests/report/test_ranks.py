import json
import math

import numpy as np
import pytest
from scipy import stats

from evoforge.report.ranks import content, critical, friedman, least, pair, ranked, ranking

SEEDS = [f"seed {seed}" for seed in range(5)]


def table(**groups):
    return {group: dict(zip(SEEDS, scores, strict=False)) for group, scores in groups.items()}


# b is the best in four blocks and second in one, a second and once first, c always last.
THREE = table(
    a=[0.70, 0.72, 0.74, 0.71, 0.80], b=[0.75, 0.78, 0.76, 0.77, 0.79], c=[0.5, 0.6, 0.5, 0.4, 0.6]
)


def test_groups_stand_in_the_order_of_their_average_ranks():
    found = ranking(THREE)
    assert found.groups == ("b", "a", "c")
    assert found.average == pytest.approx([1.2, 1.8, 3.0])
    assert found.ranks[0].tolist() == [1, 1, 1, 1, 2]
    assert found.means == pytest.approx([0.77, 0.734, 0.52])
    assert (found.blocks, found.incomplete, found.left_out) == (tuple(SEEDS), (), ())


def test_equal_scores_share_their_ranks():
    assert ranked(np.array([3.0, 1.0, 3.0, 3.0])).tolist() == [3.0, 1.0, 3.0, 3.0]


def test_friedman_is_that_of_scipy_also_with_ties():
    rng = np.random.default_rng(0)
    for scores in (rng.random((4, 6)), rng.integers(0, 3, (4, 6)).astype(float)):
        ranks = np.array([ranked(column) for column in scores.T]).T
        chi2, p = friedman(ranks)
        expected = stats.friedmanchisquare(*scores)
        assert chi2 == pytest.approx(expected.statistic)
        # Of six blocks the chi-squared distribution is rough.
        assert p == pytest.approx(expected.pvalue, abs=0.05)


def test_friedman_of_full_agreement_is_exact():
    # All of 3! orders in each of 4 blocks are as likely: 6 of 6 ** 4 agree in all.
    ranks = np.tile([[1.0], [2.0], [3.0]], (1, 4))
    assert friedman(ranks)[1] == pytest.approx(1 / 216, abs=0.0015)
    assert friedman(np.full((3, 4), 2.0)) == (0.0, 1.0)


def test_the_critical_difference_is_that_of_the_paper():
    # Demsar 2006, section 3.2.2: four classifiers on 14 data sets, q = 2.569.
    assert critical(4, 14) == pytest.approx(2.569 * math.sqrt(20 / (6 * 14)), abs=0.001)
    assert ranking(table(a=[1, 2], b=[2, 3])).critical is None


def test_a_pair_is_tested_as_scipy_does():
    found = pair(THREE, "b", "a")
    one, other = (list(THREE[name].values()) for name in "ba")
    expected = stats.ttest_rel(one, other)
    low, high = expected.confidence_interval()
    assert (found.blocks, found.wins, found.losses) == (5, 4, 1)
    assert found.gain == pytest.approx(0.036)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p == pytest.approx(expected.pvalue)
    assert found.p_rank == pytest.approx(stats.wilcoxon(one, other, method="exact").pvalue)


def test_the_rank_test_cannot_say_less_than_its_least():
    found = pair(table(a=[1, 2, 3, 4, 5], b=[0, 0, 0, 0, 0]), "a", "b")
    assert found.p_rank == least(5) == 0.0625
    assert least(6) == 0.03125


def test_what_is_the_same_in_all_blocks_has_no_t_test():
    found = pair(table(a=[2, 3, 4], b=[1, 2, 3]), "a", "b")
    assert (found.gain, found.p, found.wins) == (1.0, None, 3)
    equal = pair(table(a=[1, 2], b=[1, 2]), "a", "b")
    assert (equal.gain, equal.p, equal.p_rank, equal.wins, equal.losses) == (0.0, None, 1.0, 0, 0)


def test_p_values_are_corrected_for_all_pairs_or_for_those_with_one_group():
    found = ranking(THREE)
    assert [(each.first, each.second) for each in found.pairs] == [
        ("b", "a"),
        ("b", "c"),
        ("a", "c"),
    ]
    smallest = min(found.pairs, key=lambda each: each.p)
    assert smallest.p_holm == pytest.approx(3 * smallest.p)
    # 3 x 0.0625 twice; 1 x 0.125 is less, but no p-value falls below one before it.
    assert [each.p_rank_holm for each in found.pairs] == [0.1875] * 3
    few = ranking(THREE, against="c")
    assert [(each.first, each.second) for each in few.pairs] == [("b", "c"), ("a", "c")]
    assert min(each.p_holm for each in few.pairs) == pytest.approx(2 * smallest.p)
    assert few.reference == "c"


def test_a_pair_is_seen_from_both_sides():
    found = ranking(THREE)
    seen = found.against("a")
    assert (seen.first, seen.second, seen.wins, seen.losses) == ("a", "b", 1, 4)
    assert seen.gain == pytest.approx(-0.036)
    assert seen.low < seen.gain < seen.high
    assert found.against("b") is None


def test_blocks_that_some_group_lacks_are_not_ranked_but_tell_of_the_pairs_that_have_them():
    scores = table(a=[3, 3, 3], b=[2, 2, 2], c=[1, 1])
    found = ranking(scores)
    assert found.blocks == ("seed 0", "seed 1")
    assert found.incomplete == ("seed 2",)
    assert [each.blocks for each in found.pairs] == [3, 2, 2]


def test_a_group_with_one_score_does_not_take_the_blocks_of_the_others():
    found = ranking(table(a=[3, 3, 3], b=[2, 2, 2], c=[1]))
    assert found.groups == ("a", "b")
    assert found.left_out == ("c",)
    assert len(found.blocks) == 3


@pytest.mark.parametrize(
    "scores",
    [{}, table(a=[1, 2, 3]), table(a=[1], b=[2]), {"a": {"x": 1, "y": 2}, "b": {"z": 1, "u": 2}}],
    ids=["none", "one group", "one block", "nothing in common"],
)
def test_there_must_be_two_groups_and_two_blocks(scores):
    assert ranking(scores) is None


def test_nothing_is_compared_with_a_group_of_one_score():
    assert ranking(table(a=[1, 2], b=[2, 3], c=[1]), against="c") is None


def test_of_groups_of_two_kinds_those_that_share_most_are_ranked():
    other = {"x": 1.0, "y": 2.0}
    found = ranking({"d": other, **table(a=[1, 2, 3], b=[2, 3, 4]), "c": other})
    assert (found.groups, found.left_out) == (("b", "a"), ("d", "c"))
    assert ranking({"d": other, **table(a=[1, 2], b=[2, 3]), "c": other}, "c").reference == "c"


def test_a_ranking_is_json():
    found = json.loads(json.dumps(content(ranking(THREE)), allow_nan=False))
    assert found["groups"][0] == {
        "group": "b",
        "rank": 1.2,
        "score": pytest.approx(0.77),
        "ranks": [1, 1, 1, 1, 2],
    }
    assert found["friedman"]["chi2"] > 0
    assert found["pairs"][0]["p_holm"] is not None
