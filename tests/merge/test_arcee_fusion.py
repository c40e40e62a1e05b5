import pytest
import torch

from evoforge.merge.arcee_fusion import ArceeFusion, divergences
from evoforge.merge.base import Whole


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(ArceeFusion(pool), "a", weight=1.0), "0.5 -1 2 0.25 0.5 0.75 -0.75 -2"
    )


def test_a_reach_below_everything_is_task_arithmetic(pool, golden):
    golden.check(
        golden.merge(ArceeFusion(pool), reach=-100.0),
        "0.775 -1.15 1.96875 0.55 0.9375 0.98125 -0.7125 -1.7875",
    )


@pytest.mark.parametrize("shape", [(100_000,), (27, 40_000)])
def test_long_rows_do_not_depend_on_threads(shape):
    base = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    whole = Whole("w", base, [base * 1.1], ["a"], [{}])
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(divergences(whole, 0))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)
