"""Packed weights: what they multiply to, when they are used, and that nothing of them stays."""

import psutil
import pytest
import torch
from torch import nn

from evoforge.evaluator import _packed
from evoforge.evaluator._packed import packed


class Net(nn.Module):
    def __init__(self, dtype=torch.float32):
        super().__init__()
        torch.manual_seed(0)
        self.wide = nn.Linear(24, 40, dtype=dtype)
        self.back = nn.Linear(40, 24, bias=False, dtype=dtype)
        self.dtype, self.device = dtype, torch.device("cpu")

    def forward(self, given):
        return self.back(self.wide(given).relu())


def given(*shape, dtype=torch.float32):
    return torch.randn(*shape, 24, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("shape", [(1,), (16,), (33,), (4, 7), (2, 3, 5)])
@torch.inference_mode()
def test_products_are_the_plain_ones(shape):
    net = Net()
    plain = net(given(*shape))
    with packed(net) as used:
        assert used
        torch.testing.assert_close(net(given(*shape)), plain, rtol=1e-5, atol=1e-6)


@torch.inference_mode()
def test_half_precision_too_where_the_processor_has_it():
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor has no instructions for bfloat16")
    net = Net(torch.bfloat16)
    plain = net(given(9, dtype=torch.bfloat16))
    with packed(net) as used:
        assert used
        torch.testing.assert_close(net(given(9, dtype=torch.bfloat16)), plain, rtol=2e-2, atol=1e-2)


@torch.inference_mode()
def test_weights_that_changed_meanwhile_are_seen_the_next_time():
    net = Net()
    with packed(net):
        before = net(given(3))
    net.back.weight.mul_(2)
    with packed(net):
        torch.testing.assert_close(net(given(3)), 2 * before)


@torch.inference_mode()
def test_afterwards_a_model_is_as_it_was_even_after_an_error():
    net = Net()
    with pytest.raises(RuntimeError), packed(net):
        net(torch.zeros(3, 7))  # not as wide as the weights
    assert "forward" not in vars(net.wide)
    assert "forward" not in vars(net.back)


def test_other_kinds_of_layers_and_types_are_left_alone():
    class Own(nn.Linear):
        def forward(self, given):
            return super().forward(given) + 1

    net = Net()
    net.back = Own(40, 24)
    with packed(net):
        assert "forward" not in vars(net.back)
    with packed(Net(torch.float64)) as used:
        assert not used


def test_copies_that_would_not_fit_are_not_made(monkeypatch):
    net = Net()
    size = sum(layer.weight.nbytes for layer in (net.wide, net.back))
    free = psutil.virtual_memory()._replace(available=int(size / _packed.SHARE) - 1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with packed(net) as used:
        assert not used
