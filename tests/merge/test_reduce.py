import pytest
import torch

from evoforge.merge._reduce import Total


def total(values):
    found = Total()
    found.add(values)
    return found.value


def test_sums_do_not_depend_on_threads():
    values = torch.randn(1_000_003, generator=torch.Generator().manual_seed(1))
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(total(values))
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1]
    assert found[0] == pytest.approx(values.double().sum().item())


def test_a_sum_may_come_in_blocks():
    values = torch.arange(100_000).float()
    found = Total()
    for block in values.split(1 << 14):
        found.add(block)
    assert found.value == 100_000 * 99_999 / 2
