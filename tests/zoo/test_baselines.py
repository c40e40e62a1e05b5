"""The plain merges, worked out by hand."""

import torch

from evoforge.zoo.baselines import dare_ties, soup, task_arithmetic, ties

BASE = {"w": torch.tensor([1.0, 1.0, 1.0, 1.0])}
ONE = {"w": torch.tensor([5.0, 2.0, -1.0, 1.0])}  # delta 4, 1, -2, 0
TWO = {"w": torch.tensor([0.0, 4.0, -2.0, 1.5])}  # delta -1, 3, -3, 0.5


def test_task_arithmetic() -> None:
    merged = task_arithmetic(BASE, [ONE, TWO], [1.0, 2.0])["w"]
    # 1 + (4, 1, -2, 0) + 2 (-1, 3, -3, 0.5)
    assert merged.tolist() == [3.0, 8.0, -7.0, 2.0]


def test_soup_is_the_mean() -> None:
    assert soup(BASE, [ONE, TWO])["w"].tolist() == [2.5, 3.0, -1.5, 1.25]


def test_ties() -> None:
    merged = ties(BASE, [ONE, TWO], weights=[1.0, 1.0], densities=[0.5, 0.5])["w"]
    # trimmed (4, 0, -2, 0) and (0, 3, -3, 0): no conflict, sums 4, 3, -5, 0
    assert merged.tolist() == [5.0, 4.0, -4.0, 1.0]


def test_ties_elects_signs_by_weighted_sum() -> None:
    merged = ties(BASE, [ONE, TWO], weights=[1.0, 5.0], densities=[1.0, 1.0])["w"]
    # deltas (4, 1, -2, 0) and (-5, 15, -15, 2.5): first entry goes to the second model
    assert merged.tolist() == [-4.0, 17.0, -16.0, 3.5]


def test_dare_keeps_the_expected_delta() -> None:
    base, model = {"w": torch.zeros(100_000)}, {"w": torch.ones(100_000)}
    merged = dare_ties(base, [model], weights=[1.0], densities=[0.25], seed=0)["w"]
    assert sorted(set(merged.tolist())) == [0.0, 4.0]
    assert abs(merged.mean().item() - 1.0) < 0.02


def test_zero_density_is_the_base() -> None:
    merged = ties(BASE, [ONE], weights=[1.0], densities=[0.0])["w"]
    assert merged.tolist() == BASE["w"].tolist()
