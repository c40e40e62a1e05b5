"""What a tensor is for, told from its name: which block, which module, or outside the blocks.

Works on names alone, so it needs no list of architectures.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from evoforge.errors import ConfigError, PoolError

Granularity = Literal["auto", "whole", "block", "layer", "module", "tensor", "profile"]
GRANULARITIES: tuple[Granularity, ...] = get_args(Granularity)

_BLOCK = re.compile(r"(?:^|\.)(?:layers|h|blocks|block|layer)\.(\d+)\.(.+)$")
_NORM = re.compile(r"(?:^|[._])(?:ln|norm|layernorm|rmsnorm)|norm(?:\.|$)|ln_", re.IGNORECASE)
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
_EMBEDDING = re.compile(r"embed|wte|wpe", re.IGNORECASE)
_HEAD = re.compile(r"lm_head|embed_out|output_embedding", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """Where a tensor belongs.

    Args:
        block: number of the transformer block, or None outside the blocks.
        module: `attention`, `mlp` or `norm` in a block; `embedding`, `norm` or `head` outside.
    """

    block: int | None
    module: str


def place(name: str) -> Place:
    """Return where a tensor belongs, from its name in the checkpoint."""
    match = _BLOCK.search(name)
    if match is None:
        if _HEAD.search(name):
            return Place(None, "head")
        return Place(None, "embedding" if _EMBEDDING.search(name) else "norm")
    # The first part decides: a norm inside the attention (q_norm) goes with what it scales, and
    # post_attention_layernorm is a norm.
    part = match.group(2).split(".")[0]
    if _NORM.search(part):
        return Place(int(match.group(1)), "norm")
    return Place(int(match.group(1)), "attention" if _ATTENTION.search(part) else "mlp")


def num_blocks(names: Sequence[str]) -> int:
    """Return the number of transformer blocks.

    Raises:
        PoolError: the blocks are not numbered 0, 1, 2 ...
    """
    found = sorted({p.block for p in map(place, names) if p.block is not None})
    if found != list(range(len(found))):
        raise PoolError(f"the transformer blocks are numbered {found}, not 0 to {len(found) - 1}")
    return len(found)


def block_tensors(names: Iterable[str], block: int) -> dict[str, str]:
    """Return the tensors of one block: the name within the block -> the whole name."""
    found = {}
    for name in names:
        match = _BLOCK.search(name)
        if match is not None and int(match.group(1)) == block:
            found[match.group(2)] = name
    return found


def in_block(name: str, block: int) -> str:
    """Return the name that a block's tensor has in the block of another number."""
    match = _BLOCK.search(name)
    assert match is not None
    return f"{name[: match.start(1)]}{block}{name[match.end(1) :]}"


def blocks_at(names: Iterable[str]) -> str:
    """Return where the list of blocks lies in the model, such as `model.layers`."""
    match = next(filter(None, map(_BLOCK.search, names)))
    return match.string[: match.start(1) - 1]


def groups(
    names: Sequence[str], granularity: Granularity, block_size: int
) -> dict[str, tuple[str, ...]]:
    """Return the tensor names of each group: embeddings, blocks in order, final norm, head.

    Outside the blocks every module has a group of its own, unless there is one group for all.

    Args:
        names: the tensors' names in the checkpoint.
        granularity: `whole` (one group), `block` (every `block_size` layers), `layer`, `module`
            (attention, MLP and norms of each layer apart), or `tensor` (each tensor of each layer).
        block_size: layers to a group for `block`.

    Raises:
        ConfigError: the granularity is unknown, or the block size does not fit.
    """
    if granularity not in GRANULARITIES or granularity == "auto":
        raise ConfigError(
            f"granularity must be one of {', '.join(GRANULARITIES)}, got {granularity}; "
            "set merge.granularity"
        )
    count = num_blocks(names)
    if granularity == "block" and not 1 <= block_size <= count:
        raise ConfigError(
            f"block_size must be in [1, {count}], got {block_size}; set merge.block_size"
        )
    found: dict[str, list[str]] = {}
    for name in sorted(names, key=_order):
        key = _group(name, granularity, block_size, count)
        found.setdefault(key, []).append(name)
    return {key: tuple(members) for key, members in found.items()}


def _group(name: str, granularity: Granularity, block_size: int, count: int) -> str:
    where = place(name)
    if granularity == "whole":
        return "all"
    if where.block is None:
        return {"norm": "final_norm", "head": "lm_head"}.get(where.module, where.module)
    if granularity == "block":
        first = where.block - where.block % block_size
        return f"layers{first}-{min(first + block_size, count) - 1}"
    if granularity == "layer":
        return f"layer{where.block}"
    if granularity == "tensor":
        (inside,) = block_tensors([name], where.block)
        return f"layer{where.block}_{inside.replace('.', '_')}"
    return f"layer{where.block}_{where.module}"


def _order(name: str) -> tuple[int, int, str]:
    where = place(name)
    if where.block is not None:
        return (1, where.block, name)
    return ({"embedding": 0, "norm": 2, "head": 3}[where.module], 0, name)
