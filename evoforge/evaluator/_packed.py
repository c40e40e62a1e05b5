"""Weights in the order in which the CPU's matrix kernels read them.

PyTorch reorders a matrix anew for each product. Where a few rows meet all weights of a model, as
in each step of an answer, that takes a third of the time; so it is done once, into copies.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psutil
import torch
from torch import nn

from evoforge.evaluator._spread import is_spread

# Copies take at most this share of the memory that is free.
SHARE = 0.5
# Rows of a typical product, which the order suits best: a batch begins with many and ends with few.
ROWS = 16


@contextmanager
def packed(model: Any) -> Iterator[bool]:
    """Let a model's linear layers multiply by reordered copies of their weights as they are now.

    Args:
        model: as transformers builds it; its weights must not change meanwhile.

    Yields:
        Whether they do: on CPUs, for types that have such kernels, where the memory allows it.
    """
    layers = [m for m in model.modules() if type(m) is nn.Linear] if _packable(model) else []
    size = sum(layer.weight.nbytes for layer in layers)
    if size > SHARE * psutil.virtual_memory().available:
        layers = []
    packs: dict[nn.Linear, torch.Tensor] = {}

    def multiply(layer: nn.Linear, given: torch.Tensor) -> torch.Tensor:
        if layer not in packs:
            packs[layer] = torch.ops.mkldnn._reorder_linear_weight(layer.weight, ROWS)
        found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            given, packs[layer], layer.bias, "none", [], ""
        )
        return found

    try:
        for layer in layers:
            layer.forward = partial(multiply, layer)  # type: ignore[method-assign]
        yield bool(layers)
    finally:
        for layer in layers:
            del layer.forward


def _packable(model: Any) -> bool:
    """Whether there are kernels for packed weights of a model's type on its device."""
    if model.device.type != "cpu" or is_spread(model) or not torch._C._has_mkldnn:
        return False
    if model.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return bool(model.dtype == torch.float32)
