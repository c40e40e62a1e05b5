"""Attention of a few new tokens, which PyTorch's own kernels are slow at on the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask

NAME = "evoforge_sdpa"
# For more new tokens than these the flash kernel is quicker.
FEW = 8


@contextmanager
def quick_steps(model: Any, wanted: bool = True) -> Iterator[bool]:
    """Let a model that uses `sdpa` on the CPU compute a few tokens by plain matrix products.

    The flash kernel for CPUs takes two to three times as long for one query as two products, and
    for several queries with a mask every key is first copied for each head that shares it.

    Args:
        model: as transformers builds it.
        wanted: whether it may, for users who chose a kind of attention.

    Yields:
        Whether it is so.
    """
    configs = {id(part.config): part.config for part in model.modules() if hasattr(part, "config")}
    quick = (
        wanted
        and model.device.type == "cpu"
        and model._supports_attention_backend
        and all(config._attn_implementation == "sdpa" for config in configs.values())
    )
    try:
        if quick:
            for config in configs.values():
                config._attn_implementation = NAME
        yield quick
    finally:
        if quick:
            for config in configs.values():
                config._attn_implementation = "sdpa"


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **given: Any,
) -> tuple[torch.Tensor, None]:
    """Return attention; see transformers' `sdpa_attention_forward`."""
    special = any(given.get(name) is not None for name in ("softcap", "position_bias", "cache"))
    if query.shape[2] > FEW or attention_mask is None or special:
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **given
        )
        return found
    rows, heads, length, size = query.shape
    shared, columns = key.shape[1:3]
    scale = size**-0.5 if scaling is None else scaling
    # The heads that share keys are the rows of one product, so no key is copied.
    grouped = (query * scale).reshape(rows, shared, -1, size)
    scores = torch.matmul(grouped, key.transpose(2, 3)).view(rows, shared, -1, length, columns)
    scores = scores + attention_mask[:, :, None]
    shares = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    summed = torch.matmul(shares.view(rows, shared, -1, columns), value)
    return summed.view(rows, heads, length, -1).transpose(1, 2), None


def _mask(q_length: int, **given: Any) -> torch.Tensor | None:
    """Return the mask: numbers to add for a few tokens, or what `sdpa` takes for more."""
    make = eager_mask if q_length <= FEW else sdpa_mask
    found: torch.Tensor | None = make(q_length=q_length, **given)
    return found


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, _mask)
