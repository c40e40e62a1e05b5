"""Layers as hops: the same weights at any place of a model, with a scale before them.

A layer tells the cache of keys and values where it stands. One module at two places would mix up
their entries without any error, so every hop is a shallow copy with a place of its own; all copies
share the parameters, and making one costs microseconds and no memory.
"""

from collections.abc import Sequence
from copy import copy
from functools import partial
from typing import Any

import torch
from torch import nn

from evoforge.candidate import ScaleTarget


def assemble(
    layers: Sequence[nn.Module], scales: Sequence[float], target: ScaleTarget
) -> nn.ModuleList:
    """Return layers one after the other as the layers of a model.

    Args:
        layers: the layer of each hop; the same one may occur several times.
        scales: what goes before each hop.
        target: whether a scale multiplies the whole input of its hop, or what the MLP of the hop
            before adds; the first one always multiplies the input.
    """
    hops = [relocated(layer, place) for place, layer in enumerate(layers)]
    for place, scale in enumerate(scales):
        if scale == 1.0:
            continue
        if target == "stream" or place == 0:
            hops[place].forward = partial(_scaled_input, hops[place].forward, scale)
        else:
            mlp = copy(hops[place - 1].get_submodule("mlp"))
            mlp.forward = partial(_scaled_output, mlp.forward, scale)
            hops[place - 1]._modules["mlp"] = mlp
    return nn.ModuleList(hops)


def relocated(module: nn.Module, place: int) -> Any:
    """Return a copy of a layer that shares its parameters and knows another place."""
    twin: Any = copy(module)
    # The copy's own, or replacing a part of the copy would replace it in the original.
    twin._modules = {
        name: relocated(child, place) if child is not None and _knows_place(child) else child
        for name, child in module._modules.items()
    }
    if hasattr(twin, "layer_idx"):
        twin.layer_idx = place
    return twin


def _knows_place(module: nn.Module) -> bool:
    return any(hasattr(part, "layer_idx") for part in module.modules())


def _scaled_input(
    forward: Any, scale: float, hidden: torch.Tensor, *given: Any, **more: Any
) -> Any:
    return forward(hidden * scale, *given, **more)


def _scaled_output(forward: Any, scale: float, *given: Any, **more: Any) -> Any:
    return forward(*given, **more) * scale
