"""The vocabulary of merged models, and the sources' weights brought to it.

Every tensor with a row for each token is re-indexed: the embeddings, and the output embedding
where it is not tied to them. Knows tokens and rows; does not know how rows are merged.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from evoforge.errors import ConfigError, PoolError
from evoforge.models.aligned import Aligned, Owners, num_rows
from evoforge.models.source import Source
from evoforge.models.special import generation_of, token_ids, without
from evoforge.models.tokenizer import cut, disagreement, extend, tokenizer_of
from evoforge.models.weights import Tensors
from evoforge.recipe import digest

log = logging.getLogger(__name__)

UNION = "union"
# Below this share of common tokens two vocabularies are hardly of one kind.
FEW = 0.5


@dataclass(frozen=True)
class _Own:
    """What a source brings along.

    Args:
        tokenizer: its own.
        rows: of its embeddings.
    """

    tokenizer: Any
    rows: int

    @cached_property
    def ids(self) -> dict[str, int]:
        """Its vocabulary: token -> row."""
        return dict(self.tokenizer.get_vocab())

    @cached_property
    def used(self) -> frozenset[int]:
        """The rows that are tokens."""
        return frozenset(self.ids.values())

    @cached_property
    def end(self) -> int:
        """The number after the last token."""
        return max(self.used) + 1


class Alignment:
    """What the user wants of the vocabulary, and what becomes of the sources' weights.

    Args:
        members: all sources.
        base: the source that task vectors are taken from, if there is one.
        tokenizer: `union`, `base`, the name of a source, or None for the one that all have.
        truncate: whether to cut all embeddings to the rows that all have.
        pad_to_multiple_of: what the number of rows must be a multiple of.

    Raises:
        ConfigError: an option makes no sense.
    """

    def __init__(
        self,
        members: Sequence[Source],
        base: Source | None,
        *,
        tokenizer: str | None = None,
        truncate: bool = False,
        pad_to_multiple_of: int | None = None,
    ) -> None:
        self._members = members
        self._base = base
        self.home = _home(members, base, tokenizer)
        self._union = tokenizer == UNION and all(m.name != UNION for m in members)
        if not isinstance(truncate, bool):
            raise ConfigError(
                f"truncate must be true or false, got {truncate!r}; set models.truncate"
            )
        if truncate and self._union:
            raise ConfigError(
                "truncate must be false where tokens of all sources are wanted, got true; set "
                "models.truncate=false, or models.tokenizer to base or to a source"
            )
        _check_multiple(pad_to_multiple_of)
        self.truncate = truncate
        self._multiple = pad_to_multiple_of
        self._known: dict[str, _Own] = {}
        self._aligned: dict[str, Tensors] = {}

    @property
    def asked(self) -> bool:
        """Whether embeddings may have to change."""
        return bool(self.home or self.truncate or self._multiple)

    def tensors(self, source: Source) -> Tensors:
        """Return a source's weights: its own, or with the rows of the chosen vocabulary.

        Raises:
            PoolError: its embeddings do not fit its tokenizer.
        """
        if not self.asked:
            return source.tensors
        if source.name not in self._aligned:
            owners = self._owners(source)
            own = [((source.name, row),) for row in range(num_rows(source))]
            self._aligned[source.name] = (
                source.tensors
                if owners == own
                else Aligned(source, owners, self._target(source).values(), self._members)
            )
        return self._aligned[source.name]

    def rows(self, source: Source) -> int:
        """Return how many rows a source's embeddings come to have."""
        if self.truncate:
            rows = self._common
        elif self.home is None:
            rows = num_rows(source)
        else:
            rows = max(self._own(self.home).rows, max(self._target(source).values()) + 1)
        step = self._multiple or 1
        return -(-rows // step) * step

    def tokenizer(self, source: Source) -> Any:
        """Return the tokenizer of models whose settings are a source's.

        Raises:
            PoolError: the chosen vocabulary cannot be given to a tokenizer.
        """
        whose = self.home or source
        found = tokenizer_of(whose)
        if self.truncate:
            return cut(found, self._common, whose.name)
        if self._union:
            others = [self._own(m).tokenizer for m in self._members if m is not whose]
            extend(found, others, self._target(source), whose.name)
        return found

    def settings(self, source: Source) -> dict[str, Any]:
        """Return in which settings models of the chosen vocabulary differ from a source."""
        if not self.asked:
            return {}
        special = self._special(source, (self.home or source).config)
        return {"vocab_size": self.rows(source), **special}

    def generation_settings(self, source: Source) -> dict[str, Any] | None:
        """Return a source's generation_config.json, with the chosen vocabulary's special tokens.

        Raises:
            PoolError: the file cannot be read.
        """
        whose = self.home or source
        found, home = generation_of(source), generation_of(whose)
        if not self.asked or (found is None and home is None):
            return found
        special = self._special(source, {**whose.config, **(home or {})})
        special.pop("unk_token_id", None)  # no setting of generation
        return {k: v for k, v in ((found or {}) | special).items() if v is not None}

    def _special(self, source: Source, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the ids of special tokens, where they may be others than a source's own."""
        found = {}
        if self.home is not None and self.home is not source:
            found = token_ids(self.tokenizer(source), settings)
        if self.truncate:
            found |= without(self._common, self.tokenizer(source), {**settings, **found})
        return found

    def facts(self, source: Source) -> dict[str, Any] | None:
        """Return what fixes the embeddings of models whose settings are a source's, as JSON.

        Returns:
            None where no source's weights are changed.
        """
        if all(self.tensors(member) is member.tensors for member in self._members):
            return None
        target = self._target(source)
        rows = self.rows(source)
        whose = self.home.name if self.home else None
        return {
            "tokenizer": UNION if self._union else whose,
            "rows": rows,
            "tokens": len(target),
            "padding": rows - len(set(target.values())),
            "truncate": self.truncate,
            "pad_to_multiple_of": self._multiple,
            "digest": digest([[number, token] for token, number in _in_order(target)]),
            # Rows may come from every source, also from those that take no part in a merge.
            "members": [
                {"name": m.name, "hash": m.hash, "base": m is self._base} for m in self._members
            ],
        }

    def _own(self, source: Source) -> _Own:
        """Return what a source brings along.

        Raises:
            PoolError: its tokenizer has tokens that its embeddings have no rows for.
        """
        if source.name not in self._known:
            found = _Own(tokenizer_of(source), num_rows(source))
            if found.end > found.rows and not self.truncate:
                raise PoolError(
                    f"the embeddings of {source.name} have {found.rows} rows, its tokenizer has "
                    f"tokens up to {found.end - 1}; give it the tokenizer that it was trained "
                    "with, or cut all sources to the rows that they have in common with "
                    "models.truncate=true"
                )
            self._known[source.name] = found
        return self._known[source.name]

    def _target(self, source: Source) -> Mapping[str, int]:
        """Return the vocabulary that a source is brought to: token -> row."""
        if self.truncate:
            return {t: i for t, i in self._own(self.home or source).ids.items() if i < self._common}
        return self._own(source).ids if self.home is None else self._chosen

    @cached_property
    def _chosen(self) -> Mapping[str, int]:
        """The chosen vocabulary: token -> row."""
        assert self.home is not None
        found = dict(self._own(self.home).ids)
        for member in self._members:
            own = self._own(member).ids
            common = len(own.keys() & self._own(self.home).ids.keys())
            if common < FEW * min(len(own), len(self._own(self.home).ids)):
                log.warning(
                    "the vocabularies of %s and %s have only %d tokens in common; the same words "
                    "may be other tokens (one writes spaces as Ġ, another as ▁)",
                    self.home.name,
                    member.name,
                    common,
                )
            if self._union:
                start = max(found.values()) + 1
                new = [token for token, _ in _in_order(own) if token not in found]
                found |= {token: start + i for i, token in enumerate(new)}
        return found

    @cached_property
    def _common(self) -> int:
        """The number of rows that all sources have."""
        rows = min(num_rows(member) for member in self._members)
        first = self.home or self._base or self._members[0]
        kept = {t: i for t, i in self._own(first).ids.items() if i < rows}
        for member in self._members:
            own = _in_order(self._own(member).ids)
            lost = [token for token, number in own if number >= rows]
            if lost:
                more = ", ..." if len(lost) > 5 else ""
                log.warning(
                    "models.truncate cuts the embeddings of %s to %d rows, without %d tokens: %s%s",
                    member.name,
                    rows,
                    len(lost),
                    ", ".join(map(repr, lost[:5])),
                    more,
                )
            mine = {t: i for t, i in own if i < rows}
            if mine != kept:
                log.warning(
                    "models.truncate does not look at tokens, but %s and %s differ: %s",
                    first.name,
                    member.name,
                    disagreement(kept, mine),
                )
        return rows

    def _owners(self, source: Source) -> list[Owners]:
        """Return for each row that a source's embeddings come to have what it is made of."""
        rows, own = self.rows(source), num_rows(source)
        if self.truncate or self.home is None:
            kept = min(own, self._common if self.truncate else own)
            return [((source.name, row),) if row < kept else () for row in range(rows)]
        tokens = {number: token for token, number in self._target(source).items()}
        return [
            self._owners_of(tokens[row], source) if row in tokens else self._free(row, source)
            for row in range(rows)
        ]

    def _owners_of(self, token: str, source: Source) -> Owners:
        """Return the rows of a token: the source's own, else the base's, else all owners'."""
        for member in filter(None, (source, self._base)):
            if token in self._own(member).ids:
                return ((member.name, self._own(member).ids[token]),)
        return tuple(
            (member.name, self._own(member).ids[token])
            for member in self._members
            if token in self._own(member).ids
        )

    def _free(self, row: int, source: Source) -> Owners:
        """Return what padding is made of: the same row where it is padding already."""
        assert self.home is not None
        for member in (source, self.home):
            if row < self._own(member).rows and row not in self._own(member).used:
                return ((member.name, row),)
        return ()


def _home(members: Sequence[Source], base: Source | None, tokenizer: str | None) -> Source | None:
    """Return the source whose tokens keep their ids."""
    if tokenizer is None:
        return None
    for source in members:
        if source.name == tokenizer:
            return source
    if tokenizer == UNION:
        return base or members[0]
    if tokenizer == "base" and base is not None:
        return base
    known = ", ".join(source.name for source in members)
    raise ConfigError(
        f"tokenizer must name one of {known}, got {tokenizer}; set models.tokenizer to a source, "
        "or to union for the tokens of all"
    )


def _check_multiple(value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigError(
            f"pad_to_multiple_of must be a whole number from 1 on or null, got {value!r}; "
            "set models.pad_to_multiple_of"
        )


def _in_order(vocabulary: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(vocabulary.items(), key=lambda pair: (pair[1], pair[0]))
