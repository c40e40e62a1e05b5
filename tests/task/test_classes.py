import random

import pytest

from evoforge.task.classes import balanced_weights, macro_f1, matthews


def test_each_class_weighs_the_same():
    # Three of class 0 share a half, one of class 2 has the other.
    assert balanced_weights([0, 2, 0, 0]) == (1 / 6, 1 / 2, 1 / 6, 1 / 6)


def test_weights_of_one_class_are_equal():
    assert balanced_weights([1, 1]) == (0.5, 0.5)


def test_macro_f1_by_hand():
    # Class 0: 1 right of 2 and of 1 chosen, 2/3. Class 1: 1 right of 1, of 2 chosen, 2/3.
    assert macro_f1([0, 0, 1], [0, 1, 1]) == pytest.approx(2 / 3)


def test_macro_f1_counts_a_class_that_is_chosen_and_never_right():
    # Class 0: 1 of 2 and of 1: 2/3. Class 2 is chosen once and nowhere right: 0.
    assert macro_f1([0, 0], [0, 2]) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("gold", "chosen", "value"),
    [
        ([0, 1], [0, 1], 1),
        ([0, 1], [1, 0], -1),
        ([0, 1, 0, 1], [0, 0, 0, 0], 0),
        ([0, 0], [0, 1], 0),
        # tp 1, tn 1, fp 1, fn 0: (1*1 - 0) / sqrt(2*1*2*1) = 1/2.
        ([1, 0, 0], [1, 0, 1], 0.5),
    ],
)
def test_matthews_by_hand(gold, chosen, value):
    assert matthews(gold, chosen) == pytest.approx(value)


@pytest.mark.parametrize("seed", range(5))
def test_all_agree_with_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    generator = random.Random(seed)
    gold = [generator.choice([0, 0, 0, 1, 2]) for _ in range(50)]
    chosen = [g if generator.random() < 0.5 else generator.randrange(3) for g in gold]
    right = [float(g == c) for g, c in zip(gold, chosen, strict=True)]
    balanced = sum(w * r for w, r in zip(balanced_weights(gold), right, strict=True))
    assert balanced == pytest.approx(metrics.balanced_accuracy_score(gold, chosen))
    assert macro_f1(gold, chosen) == pytest.approx(metrics.f1_score(gold, chosen, average="macro"))
    assert matthews(gold, chosen) == pytest.approx(metrics.matthews_corrcoef(gold, chosen))
