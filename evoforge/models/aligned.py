"""A source's weights with other rows of embeddings than its files have.

Knows which rows a row is made of; does not know why.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

import torch

from evoforge.errors import PoolError
from evoforge.models.layout import place
from evoforge.models.source import Source
from evoforge.models.weights import Tensors, content_hash

# Embeddings of something else than tokens.
_NO_TOKENS = re.compile(r"wpe|position|token_type")
# The rows that a row is made of: (source, number of the row); the mean of all if there are several.
Owners = tuple[tuple[str, int], ...]


def indexed(tensors: Tensors) -> tuple[str, ...]:
    """Return the names of the tensors that have a row for each token, embeddings first."""
    kinds = {name: place(name).module for name in tensors if place(name).block is None}
    tables = [
        name
        for name, kind in kinds.items()
        if kind == "embedding" and len(tensors.shape(name)) == 2 and not _NO_TOKENS.search(name)
    ]
    if not tables:
        return ()
    rows = tensors.shape(tables[0])[0]
    heads = [name for name, kind in kinds.items() if kind == "head"]
    return tuple(name for name in [*tables, *heads] if tensors.shape(name)[0] == rows)


def num_rows(source: Source) -> int:
    """Return the number of rows of a source's embeddings.

    Raises:
        PoolError: it has none that are known by name.
    """
    names = indexed(source.tensors)
    if not names:
        raise PoolError(
            f"{source.name} has no embeddings that evoforge knows by name; set "
            "models.tokenizer=null, models.truncate=false and models.pad_to_multiple_of=null"
        )
    return source.tensors.shape(names[0])[0]


class Aligned(Tensors):
    """A source's weights with other rows of embeddings; all else is passed through untouched.

    What is made anew is made when it is asked for, and kept: it is small beside the model.

    Args:
        source: whose weights.
        owners: for each new row the rows that it is made of; nothing for padding.
        tokens: the numbers of the new rows that are tokens.
        members: the sources that rows may be taken from.
    """

    def __init__(
        self,
        source: Source,
        owners: Sequence[Owners],
        tokens: Iterable[int],
        members: Sequence[Source],
    ) -> None:
        self._source = source
        self._owners = owners
        self._tokens = frozenset(tokens)
        self._members = members
        self._indexed = frozenset(indexed(source.tensors))
        self._made: dict[str, torch.Tensor] = {}

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self._indexed:
            return self._source.tensors[name]
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        # Not by asking for the tensor, as mappings do: nothing is made before it is needed.
        return name in self._source.tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._source.tensors)

    def __len__(self) -> int:
        return len(self._source.tensors)

    def shape(self, name: str) -> torch.Size:
        """Return a tensor's shape."""
        own = self._source.tensors.shape(name)
        return torch.Size((len(self._owners), *own[1:])) if name in self._indexed else own

    def dtype(self, name: str) -> torch.dtype:
        """Return a tensor's type."""
        if name in self._indexed:
            return self[name].dtype
        return self._source.tensors.dtype(name)

    def hashes(self) -> dict[str, str]:
        """Return each tensor's content hash, by name."""
        made = {name: content_hash(self[name]) for name in self._indexed}
        return {**self._source.hashes, **made}

    def _make(self, name: str) -> torch.Tensor:
        """Return a tensor in the source's type, or in one that holds all rows as they are.

        A row that is taken from the base must be the base's to the last bit, so that its task
        vector is zero; a mean is float32, which its owners' types cannot hold.
        """
        own = self._source.tensors[name]
        givers = {
            member.name: own if member is self._source else member.tensors[name]
            for member in self._members
            # Rows of another width are of a model that cannot be merged with this one.
            if name in member.tensors and member.tensors.shape(name)[1:] == own.shape[1:]
        }
        owners = [[pair for pair in pairs if pair[0] in givers] for pairs in self._owners]
        means = [row for row, pairs in enumerate(owners) if len(pairs) > 1]
        types = (givers[pair[0]].dtype for pairs in owners for pair in pairs)
        dtype = torch.float32 if means else reduce(torch.promote_types, set(types), own.dtype)
        made = torch.zeros(len(owners), *own.shape[1:], dtype=dtype, device=own.device)
        for giver, tensor in givers.items():
            for several in (False, True):
                pairs = _pairs(owners, giver, several)
                if pairs:
                    targets, rows = (torch.tensor(numbers) for numbers in zip(*pairs, strict=True))
                    rows_of = tensor[rows].to(dtype)
                    made[targets] = made[targets] + rows_of if several else rows_of
        for row in means:
            made[row] /= len(owners[row])
        padding = [row for row, pairs in enumerate(owners) if not pairs]
        if padding:
            real = [row for row, pairs in enumerate(owners) if pairs and row in self._tokens]
            made[padding] = made[real].mean(0, dtype=torch.float32).to(dtype)
        return made


def _pairs(
    owners: Sequence[Sequence[tuple[str, int]]], giver: str, several: bool
) -> list[tuple[int, int]]:
    """Return the new and the old numbers of a giver's rows, of those with several owners or one."""
    return [
        (new, old)
        for new, pairs in enumerate(owners)
        if (len(pairs) > 1) == several
        for name, old in pairs
        if name == giver
    ]
