"""The sizes of a model that decide what running and merging it takes.

Told from settings and from names and shapes of tensors; no weight is read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from evoforge.models.layout import place


@dataclass(frozen=True)
class Shape:
    """A model, as numbers.

    Args:
        weights: how many there are, what is never merged included.
        in_layers: how many of them are in the transformer blocks.
        table: how many of them are in the embedding, where it is a matrix apart from the head's: of
            it a token reads one row.
        largest: elements of the largest tensor.
        tensors: how many there are.
        layers: transformer blocks.
        hidden: numbers of a token between blocks.
        inner: numbers of a token within an MLP.
        vocabulary: rows of the output embedding.
        kept: numbers that a token leaves in the cache of one block: keys and values of all heads.
        itemsize: bytes of a stored number.
    """

    weights: int
    in_layers: int
    table: int
    largest: int
    tensors: int
    layers: int
    hidden: int
    inner: int
    vocabulary: int
    kept: int
    itemsize: int

    @property
    def bytes(self) -> int:
        """The bytes of the model."""
        return self.weights * self.itemsize

    @property
    def layer_bytes(self) -> int:
        """The bytes of all blocks."""
        return self.in_layers * self.itemsize

    @property
    def used(self) -> int:
        """The weights that each token is multiplied by."""
        return self.weights - self.table


def shape_of(
    config: Any, sizes: Mapping[str, torch.Size], frozen: Iterable[torch.Size], dtype: torch.dtype
) -> Shape:
    """Return the shape of a model.

    Args:
        config: its settings, as transformers has them.
        sizes: the shape of each tensor that is merged, by its name in a text model.
        frozen: shapes of what is never merged.
        dtype: that it is stored in.
    """
    text = config.get_text_config()
    numbers = {name: size.numel() for name, size in sizes.items()}
    rest = [size.numel() for size in frozen]
    inside = [number for name, number in numbers.items() if place(name).block is not None]
    outside = {name: n for name, n in numbers.items() if place(name).block is None}
    heads = [name for name in outside if place(name).module == "head"]
    tables = [n for name, n in outside.items() if place(name).module == "embedding"]
    count = getattr(text, "num_attention_heads", None) or 1
    width = getattr(text, "head_dim", None) or text.hidden_size // count
    shared = getattr(text, "num_key_value_heads", None) or count
    return Shape(
        weights=sum(numbers.values()) + sum(rest),
        in_layers=sum(inside),
        table=sum(tables) if heads else 0,
        largest=max([*numbers.values(), *rest]),
        tensors=len(numbers) + len(rest),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        inner=getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
        vocabulary=text.vocab_size,
        kept=2 * shared * width,
        itemsize=dtype.itemsize,
    )
