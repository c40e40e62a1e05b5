"""The pool: the ordered sources of a run, checked against each other before anything else.

Knows who takes part and whose settings count; does not know how they are merged.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import torch

from evoforge.errors import ConfigError, PoolError
from evoforge.models.fit import check_path, check_weights
from evoforge.models.forecast import check_memory
from evoforge.models.opening import open_sources
from evoforge.models.resident import Resident
from evoforge.models.settings import adapt
from evoforge.models.source import Source
from evoforge.models.spec import spec_of
from evoforge.models.vision import Vision, open_vision
from evoforge.models.vocabulary import Alignment
from evoforge.models.weights import Tensors

DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


class Pool:
    """The sources of a run.

    A pool says nothing of whether its sources fit each other until somebody needs them to: merging
    weights needs more (`check`) than a path through layers does (`check_layers`).

    Args:
        sources: what takes part, in order; exactly one may have the role `base`.
        tokenizer: whose vocabulary all weights are brought to: `union` for the tokens of all,
            `base`, or a source; None for the one that all must have.
        dtype: of merged models: `float32`, `float16`, `bfloat16`, or `auto` for the base's own.
        ignore: settings that may differ, and then are the base's: a wish, never a default.
        truncate: whether to cut all embeddings to the rows that all sources have.
        pad_to_multiple_of: what the number of rows of embeddings is padded up to a multiple of.
        lead: the source that settings and tokenizer come from, if it is not the base.
        vision: what merged models see with; None to find it, should a source see pictures.

    Raises:
        ConfigError: an option makes no sense.
        PoolError: a source sees pictures and its settings differ from a text model's.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        tokenizer: str | None = None,
        dtype: str = "auto",
        ignore: Sequence[str] = (),
        truncate: bool = False,
        pad_to_multiple_of: int | None = None,
        lead: str | None = None,
        vision: Vision | None = None,
    ) -> None:
        self.members = tuple(sources)
        bases = [source for source in sources if source.spec.role == "base"]
        if len(bases) > 1:
            raise ConfigError(f"a pool has one base, got {', '.join(s.name for s in bases)}")
        self.base = bases[0] if bases else None
        self.sources = tuple(source for source in sources if source.spec.role != "base")
        if not self.sources:
            raise ConfigError("a pool needs at least one source beside the base; set models")
        self.ignore = frozenset(ignore)
        self._given: dict[str, Any] = {
            "tokenizer": tokenizer,
            "dtype": dtype,
            "ignore": tuple(ignore),
            "truncate": truncate,
            "pad_to_multiple_of": pad_to_multiple_of,
        }
        self._alignment = Alignment(
            self.members,
            self.base,
            tokenizer=tokenizer,
            truncate=truncate,
            pad_to_multiple_of=pad_to_multiple_of,
        )
        self._resident = Resident()
        self._lead = None if lead is None else self.member(lead)
        if dtype not in ("auto", *DTYPES):
            raise ConfigError(
                f"dtype must be auto, {', '.join(DTYPES)}, got {dtype}; set models.dtype"
            )
        self.dtype_name = self._own_dtype() if dtype == "auto" else dtype
        self.vision = vision or open_vision(self.members, self.base)

    @property
    def reference(self) -> Source:
        """The source that is merged into: the lead, else the base, else the first source.

        Settings and tokenizer come from it, unless merged models see pictures (`vision`).
        """
        return self._lead or self.base or self.sources[0]

    @property
    def _giver(self) -> Source:
        """The source that settings and tokenizer come from."""
        return self.reference if self.vision is None else self.vision.source

    def led_by(self, name: str) -> "Pool":
        """Return the same sources with another reference."""
        led = Pool(self.members, **self._given, lead=name, vision=self.vision)
        led._alignment = self._alignment  # the same weights, made once
        return led

    def check(self) -> None:
        """Make sure that the weights of all sources can be merged with each other.

        Raises:
            PoolError: the first difference between two sources, and what to do.
        """
        if self.misfits:
            raise PoolError(next(iter(self.misfits.values())))

    @cached_property
    def misfits(self) -> dict[str, str]:
        """What keeps a source from being merged with the reference: name -> sentence."""
        found = {}
        for source in self.members:
            if source is not self.reference:
                try:
                    self._check(source)
                except PoolError as error:
                    found[source.name] = str(error)
        return found

    @cached_property
    def vocabulary(self) -> dict[str, Any] | None:
        """What was changed so that vocabularies fit each other, as JSON; None if nothing was.

        `tokenizer` (`union` or a source), `rows`, `tokens`, `padding` (rows that are no token's),
        `truncate`, `pad_to_multiple_of`, `digest` of the tokens in order, and the `members` that
        rows may come from.
        """
        return self._alignment.facts(self._giver) if self._alignment.asked else None

    def model_config(self) -> Any:
        """Return the settings of merged models: a transformers configuration, made anew.

        They are the reference's, with the number of rows and the special tokens of the chosen
        vocabulary; of models that see pictures the whole of `vision`'s.
        """
        vision = self.vision
        config = self.reference.model_config() if vision is None else vision.model_config()
        for key, value in self._alignment.settings(self._giver).items():
            for part in (config, config.get_text_config()):
                if key in vars(part):
                    setattr(part, key, value)
        if vision is not None:
            adapt(config, self._sizes)
            for key, number in self._picture_ids.items():
                setattr(config, key, number)
        return config

    @property
    def _sizes(self) -> dict[str, Any]:
        """The settings that are the reference's whatever it is merged into: what it has of what."""
        return {
            "num_hidden_layers": self.reference.num_layers,
            "tie_word_embeddings": bool(self.reference.config.get("tie_word_embeddings")),
            "vocab_size": self._alignment.rows(self.reference),
            **self.per_layer(self.reference),
        }

    def per_layer(self, source: Source) -> dict[str, list[Any]]:
        """Return the settings of a source that have a value for each block, as they were chosen."""
        lists = source.per_layer
        return lists if self.vision is None else self.vision.choice.lists(lists)

    @cached_property
    def _picture_ids(self) -> dict[str, int]:
        return {} if self.vision is None else self.vision.ids(self.tokenizer)

    @cached_property
    def window(self) -> int | None:
        """The tokens that merged models read at most; None where the settings do not say."""
        text = self.model_config().get_text_config()
        return getattr(text, "max_position_embeddings", None)

    def generation_settings(self) -> dict[str, Any] | None:
        """Return the content of generation_config.json of merged models, or None without one.

        It is the reference's, with the special tokens of the chosen vocabulary.
        """
        return self._alignment.generation_settings(self._giver)

    @property
    def dtype(self) -> torch.dtype:
        """The type that merged tensors are stored in."""
        return DTYPES[self.dtype_name]

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer that merged models are used with."""
        found = self._alignment.tokenizer(self._giver)
        return found if self.vision is None else self.vision.dressed(found)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tensors to merge, as in the checkpoints."""
        return tuple(self.reference.tensors)

    def tensors(self, name: str) -> Tensors:
        """Return the weights of a member by its name, brought to the chosen vocabulary."""
        return self._alignment.tensors(self.member(name))

    def tensor(self, source: str, name: str, device: torch.device) -> torch.Tensor:
        """Return one tensor of a member on a device, where it stays if there is room."""
        return self._resident.tensor(source, self.tensors(source), name, device)

    def hash(self, name: str) -> str:
        """Return the content hash of a member by its name."""
        return self.member(name).hash

    def check_hash(self, ref: Mapping[str, str], recipe: str) -> None:
        """Make sure that a source is the one that a recipe names.

        Raises:
            ConfigError: it holds other weights.
        """
        if self.hash(ref["name"]) != ref["hash"]:
            raise ConfigError(
                f"the weights of {ref['name']} are not those that the recipe {recipe} was made "
                "of; restore them, or start a new run"
            )

    def member(self, name: str) -> Source:
        """Return a source by its name."""
        for source in self.members:
            if source.name == name:
                return source
        known = ", ".join(source.name for source in self.members)
        raise ConfigError(f"sources must name one of {known}, got {name}; set models.sources")

    def _own_dtype(self) -> str:
        found = self.reference.dtypes
        for name, dtype in DTYPES.items():
            # The widest type of the reference, should it be of several.
            if dtype in found:
                return name
        raise PoolError(
            f"{self.reference.folder} holds {', '.join(map(str, found))}, which cannot be merged; "
            "give unquantised weights"
        )

    def check_tokenizer(self) -> None:
        """Make sure that the reference's embeddings can be brought to the chosen vocabulary.

        Raises:
            PoolError: its embeddings do not fit its tokenizer, or no tokenizer takes all tokens.
        """
        if self._alignment.asked:
            _ = self._alignment.tensors(self.reference), self.tokenizer, self._picture_ids

    @property
    def tokenizer_source(self) -> str:
        """The name of the source whose tokenizer merged models are used with.

        For the tokens of all sources that is the one whose own keep their numbers.
        """
        return (self._alignment.home or self._giver).name

    def check_layers(self, names: Sequence[str]) -> None:
        """Make sure that layers of these sources can follow each other; the first one leads.

        Raises:
            PoolError: a difference between two sources that changes what a block is.
        """
        first, *others = map(self.member, names)
        if self.vision is not None and not first.sees and self._alignment.home is None:
            self.vision.check_words(first)
        chosen = None if self.vision is None else self.vision.choice.accepts
        check_path(first, others, self.ignore, chosen)

    def _check(self, source: Source) -> None:
        check_weights(
            source,
            self.reference,
            tensors=self._alignment.tensors,
            ignore=self.ignore,
            aligned=self._alignment.home is not None or self._alignment.truncate,
            chosen=None if self.vision is None else self.vision.choice.accepts,
        )


def open_pool(
    plan: bool = False,
    *,
    sources: Mapping[str, Mapping[str, Any]],
    tokenizer: str | None = None,
    dtype: str = "auto",
    ignore: Sequence[str] = (),
    truncate: bool = False,
    pad_to_multiple_of: int | None = None,
    memory: Literal["check", "ignore"] = "check",
    vision: Mapping[str, Any] | None = None,
) -> Pool:
    """Open the sources of the `models` options and check them.

    Args:
        plan: whether names and shapes are enough, so that no weights are read or fetched.
        sources: name -> `path` and if wanted other options of `SourceSpec`.
        tokenizer: see `Pool`.
        dtype: see `Pool`.
        ignore: see `Pool`.
        truncate: see `Pool`.
        pad_to_multiple_of: see `Pool`.
        memory: whether models of the hub that need more than is free are refused unfetched.
        vision: what merged models see with, where a source sees pictures: `source` (its name),
            `from` (whose settings count where it differs from a text model: `vlm`, `llm`, or a
            mapping of settings to these), `model_type` (`llava` to run LLaVA-NeXT as LLaVA).

    Raises:
        ConfigError: an option is unknown or makes no sense.
        PoolError: a source cannot be read or held, or does not fit the others.
    """
    specs = {str(name): spec_of(str(name), options) for name, options in sources.items()}
    if memory == "check" and not plan:
        check_memory(specs.values(), dtype)
    opened = open_sources(specs, plan=plan)
    base = next((source for source in opened if source.spec.role == "base"), None)
    return Pool(
        opened,
        tokenizer=tokenizer,
        dtype=dtype,
        ignore=ignore,
        truncate=truncate,
        pad_to_multiple_of=pad_to_multiple_of,
        vision=open_vision(opened, base, vision),
    )
