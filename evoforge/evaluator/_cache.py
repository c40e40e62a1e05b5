"""Keys and values of texts in the making, in memory that is laid out beforehand.

Every text is a row, and all rows end at the same column. A step then writes one column, whatever
the lengths of the texts, and columns lie as far apart as the tokens do, which is all that a sliding
window asks. What lies before a row's start is masked.
"""

from collections.abc import Sequence
from typing import Any
from weakref import proxy

import torch
from transformers.cache_utils import (
    Cache,
    CacheLayerMixin,
    DynamicCache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)

from evoforge.evaluator._forward import stepped, takes

# Columns are laid out in steps.
ROOM = 32


def holds_plain_keys(model: Any, length: int) -> bool:
    """Return whether all that a model keeps of a text are the keys and values of its tokens.

    Args:
        model: as transformers builds it.
        length: tokens of the longest text.
    """
    if not takes(model, "past_key_values"):
        return False
    config = model.config.get_text_config(decoder=True)
    kinds = {type(layer) for layer in DynamicCache(config=config).layers}
    # Windows of chunks start anew at certain tokens, and some rotary embeddings change for the
    # whole batch once its longest text passes a limit: neither is a matter of distance alone.
    chunked = "chunked_attention" in (getattr(config, "layer_types", None) or ())
    scaling = getattr(config, "rope_parameters", None) or {}
    limit = scaling.get("original_max_position_embeddings", length)
    longer = scaling.get("rope_type") == "longrope" and length > limit
    return kinds <= {DynamicLayer, DynamicSlidingWindowLayer} and not chunked and not longer


class Grid(Cache):  # type: ignore[misc]
    """A cache of rows that come and go.

    Args:
        rows: how many there may be.
        whole: whether attention gets all columns instead of those in use: memory without gaps,
            which some kernels want, for a few masked columns more.
    """

    def __init__(self, rows: int, *, whole: bool) -> None:
        super().__init__(layers=[])
        self._rows = rows
        self._whole = whole
        self._columns = 0
        self.end = 0
        self.starts: list[int] = []

    def width(self, length: int) -> int:
        """Return how many columns attention gets for so many new ones."""
        return self._columns if self._whole else self.end + length

    def mask(self, length: int, device: torch.device, rows: int = 0) -> torch.Tensor:
        """Return which columns are a row's own, for so many new ones: (rows, columns) bool.

        Args:
            length: new columns.
            device: of the mask.
            rows: more rows than there are texts in the making; those have the new columns alone.
        """
        columns = torch.arange(self.width(length), device=device)
        beyond = [self.end] * (rows - len(self.starts))
        starts = torch.tensor(self.starts + beyond, device=device)
        return (columns >= starts[:, None]) & (columns < self.end + length)

    def admit(self, found: Any, sources: Sequence[int], lengths: Sequence[int]) -> None:
        """Add rows.

        Args:
            found: a cache of texts that all start in its first column.
            sources: for each new row the row of `found`.
            lengths: for each new row its number of tokens.
        """
        if not self.starts:
            self.layers = [_Rows(self) for _ in found.layers]
            self.end = 0
        if max(lengths) > self.end:
            self._lay_out(found, max(lengths))
        first = len(self.starts)
        self.starts += [self.end - length for length in lengths]
        # Those of one length together, which saves most of the calls where many share a context.
        alike: dict[int, tuple[list[int], list[int]]] = {}
        for row, (source, length) in enumerate(zip(sources, lengths, strict=True), first):
            rows, theirs = alike.setdefault(length, ([], []))
            rows.append(row)
            theirs.append(source)
        for mine, given in zip(self.layers, found.layers, strict=True):
            for length, (rows, theirs) in alike.items():
                keys, values = given.keys[:, :, :length], given.values[:, :, :length]
                mine.write(rows, keys[theirs], values[theirs])

    def drop(self, row: int) -> None:
        """Take a row away; the last row takes its place."""
        last = len(self.starts) - 1
        start = self.starts.pop()
        if row == last:
            return
        self.starts[row] = start
        for layer in self.layers:
            layer.keys[row, :, : self.end] = layer.keys[last, :, : self.end]
            layer.values[row, :, : self.end] = layer.values[last, :, : self.end]

    def reserve(self, length: int) -> None:
        """Make sure that there are so many free columns."""
        if self.end + length > self._columns:
            self._lay_out(self, length=length)

    def advance(self, length: int) -> None:
        """Take note that so many columns have been written."""
        self.end += length

    def _lay_out(self, like: Any, longest: int = 0, length: int = 0) -> None:
        """Take new memory and move the rows there, as far to the left as they go."""
        used = self.end - min(self.starts, default=self.end)
        end = max(used, longest)
        columns = stepped(end + max(length, end // 8), ROOM)
        for layer, other in zip(self.layers, like.layers, strict=True):
            layer.move(other, self._rows, columns, end, used)
        self.starts = [start + end - self.end for start in self.starts]
        self.end, self._columns = end, columns


class _Rows(CacheLayerMixin):  # type: ignore[misc]
    """The keys and values of one layer: each (rows, heads, columns, size)."""

    is_sliding = False
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        # In a circle of references the memory would wait for the garbage collector.
        self._grid: Any = proxy(grid)

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Do nothing: `move` has taken the memory."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new columns; return all that attention needs."""
        rows, _heads, length, _size = key_states.shape
        end = self._grid.end
        self.keys[:rows, :, end : end + length] = key_states
        self.values[:rows, :, end : end + length] = value_states
        width = self._grid.width(length)
        return self.keys[:rows, :, :width], self.values[:rows, :, :width]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return the number of columns for so many new ones, and the first one's place."""
        return self._grid.width(query_length), 0

    def get_seq_length(self) -> int:
        """Return the number of columns written."""
        return int(self._grid.end)

    def get_max_length(self) -> int:
        """Return -1: there is no limit."""
        return -1

    def write(self, rows: Sequence[int], keys: torch.Tensor, values: torch.Tensor) -> None:
        """Fill rows to the end of what is written."""
        start = self._grid.end - keys.shape[-2]
        for mine, given in ((self.keys, keys), (self.values, values)):
            # What a row's last owner left might not be finite, which no mask would hide.
            mine[rows, :, :start] = 0
            mine[rows, :, start : self._grid.end] = given

    def move(self, like: Any, rows: int, columns: int, end: int, used: int) -> None:
        """Take new memory and copy the columns in use there."""
        old = (self.keys, self.values)
        self.keys, self.values = (
            tensor.new_zeros((rows, tensor.shape[1], columns, tensor.shape[3]))
            for tensor in (like.keys, like.values)
        )
        if used:
            mine = len(self._grid.starts)
            last = self._grid.end
            for new, tensor in zip((self.keys, self.values), old, strict=True):
                new[:mine, :, end - used : end] = tensor[:mine, :, last - used : last]
        self.is_initialized = True
