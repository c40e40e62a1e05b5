"""The merges that nobody searched for, as plain as possible: the figures that a search must beat.

Knows tensors by name only; the framework's own merge methods are elsewhere and richer.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

State = Mapping[str, Tensor]


def task_arithmetic(base: State, models: Sequence[State], weights: Sequence[float]) -> State:
    """Add weighted deltas to the base: b + sum of w_m (x_m - b)."""
    return {
        name: tensor
        + sum(
            (w * (model[name] - tensor) for w, model in zip(weights, models, strict=True)),
            torch.zeros_like(tensor),
        )
        for name, tensor in base.items()
    }


def soup(base: State, models: Sequence[State]) -> State:
    """Take the mean of the models."""
    return task_arithmetic(base, models, [1 / len(models)] * len(models))


def ties(
    base: State, models: Sequence[State], *, weights: Sequence[float], densities: Sequence[float]
) -> State:
    """Keep the largest entries of each delta, elect signs, add what agrees; no normalisation."""
    merged = {}
    for name, tensor in base.items():
        deltas = [
            weight * _largest(model[name] - tensor, density)
            for model, weight, density in zip(models, weights, densities, strict=True)
        ]
        merged[name] = tensor + _agreeing_sum(torch.stack(deltas))
    return merged


def dare_ties(
    base: State,
    models: Sequence[State],
    *,
    weights: Sequence[float],
    densities: Sequence[float],
    seed: int,
) -> State:
    """Drop entries of each delta at random, rescale the rest by 1 / density, then as in `ties`."""
    generator = torch.Generator().manual_seed(seed)
    merged = {}
    for name, tensor in base.items():
        deltas = []
        for model, weight, density in zip(models, weights, densities, strict=True):
            kept = torch.rand(tensor.shape, generator=generator) < density
            deltas.append(weight * (model[name] - tensor) * kept / density)
        merged[name] = tensor + _agreeing_sum(torch.stack(deltas))
    return merged


def _largest(delta: Tensor, density: float) -> Tensor:
    count = int(density * delta.numel())
    if count == 0:
        return torch.zeros_like(delta)
    kept = torch.topk(delta.abs().flatten(), count).indices
    mask = torch.zeros(delta.numel(), dtype=torch.bool).index_fill_(0, kept, True)
    return delta * mask.view_as(delta)


def _agreeing_sum(deltas: Tensor) -> Tensor:
    sign = deltas.sum(dim=0).sign()
    return (deltas * (deltas.sign() == sign)).sum(dim=0)
