"""The pool: the ordered sources of a run, checked against each other before anything else.

Knows which settings must agree for weights to be merged, or for layers to share a path; does not
know how they are merged.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch

from evoforge.errors import ConfigError, PoolError
from evoforge.models.layout import block_tensors
from evoforge.models.source import PER_LAYER, Source, SourceSpec, open_source
from evoforge.models.tokenizer import difference, load_tokenizer
from evoforge.models.weights import Weights

DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
# Settings that say nothing about the weights.
INDIFFERENT = {
    "_name_or_path",
    "architectures",
    "dtype",
    "id2label",
    "label2id",
    "torch_dtype",
    "transformers_version",
    "use_cache",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "problem_type",
}
# Settings of what lies outside the blocks, which a path takes from its first model alone, or that
# may differ from block to block.
OUTSIDE_BLOCKS = {
    "vocab_size",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "tie_word_embeddings",
    "num_hidden_layers",
    *PER_LAYER,
    "max_window_layers",
    "max_position_embeddings",
    "initializer_range",
    "attention_dropout",
}


class Pool:
    """The sources of a run.

    A pool says nothing of whether its sources fit each other until somebody needs them to: merging
    weights needs more (`check`) than a path through layers does (`check_layers`).

    Args:
        sources: what takes part, in order; exactly one may have the role `base`.
        tokenizer: whose tokenizer the merged model gets; the base's by default, or the first's.
        dtype: of merged models: `float32`, `float16`, `bfloat16`, or `auto` for the base's own.
        ignore: settings that may differ, and then are the base's: a wish, never a default.
        lead: the source that settings and tokenizer come from, if it is not the base.

    Raises:
        ConfigError: an option makes no sense.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        tokenizer: str | None = None,
        dtype: str = "auto",
        ignore: Sequence[str] = (),
        lead: str | None = None,
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
        }
        self._lead = None if lead is None else self.member(lead)
        self._tokenizer_of = self._member("tokenizer", tokenizer or self.reference.name)
        if dtype not in ("auto", *DTYPES):
            raise ConfigError(
                f"dtype must be auto, {', '.join(DTYPES)}, got {dtype}; set models.dtype"
            )
        self.dtype_name = self._own_dtype() if dtype == "auto" else dtype

    @property
    def reference(self) -> Source:
        """The source that settings come from: the lead, else the base, else the first source."""
        return self._lead or self.base or self.sources[0]

    def led_by(self, name: str) -> "Pool":
        """Return the same sources with another reference."""
        return Pool(self.members, **self._given, lead=name)

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

    @property
    def dtype(self) -> torch.dtype:
        """The type that merged tensors are stored in."""
        return DTYPES[self.dtype_name]

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer that merged models are used with."""
        return _tokenizer(self._tokenizer_of)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tensors to merge, as in the checkpoints."""
        return tuple(self.reference.tensors)

    def tensors(self, name: str) -> Weights:
        """Return the weights of a member by its name."""
        return self.member(name).tensors

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
        return self._member("sources", name)

    def _member(self, option: str, name: str) -> Source:
        for source in self.members:
            if source.name == name:
                return source
        known = ", ".join(source.name for source in self.members)
        raise ConfigError(f"{option} must name one of {known}, got {name}; set models.{option}")

    def _own_dtype(self) -> str:
        found = {tensor.dtype for tensor in self.reference.tensors.values()}
        for name, dtype in DTYPES.items():
            # The widest type of the reference, should it be of several.
            if dtype in found:
                return name
        raise PoolError(
            f"{self.reference.folder} holds {', '.join(map(str, found))}, which cannot be merged; "
            "give unquantised weights"
        )

    def check_tokenizer(self) -> None:
        """Make sure that the tokenizer is the one that the reference's embeddings are made for.

        Raises:
            PoolError: it has another vocabulary.
        """
        if self._tokenizer_of is not self.reference and "tokenizer" not in self.ignore:
            found = difference(_tokenizer(self.reference), self.tokenizer)
            if found:
                raise PoolError(
                    f"the tokenizer of {self._tokenizer_of.name} does not fit the embeddings of "
                    f"{self.reference.name}: in the vocabulary {found}; set models.tokenizer"
                )

    @property
    def tokenizer_source(self) -> str:
        """The name of the source whose tokenizer merged models are used with."""
        return self._tokenizer_of.name

    def check_layers(self, names: Sequence[str]) -> None:
        """Make sure that layers of these sources can follow each other; the first one leads.

        Raises:
            PoolError: a difference between two sources that changes what a block is.
        """
        first = self.member(names[0])
        _check_lists(first)
        for source in map(self.member, names[1:]):
            for setting, mine, other in self._differences(source, first, OUTSIDE_BLOCKS):
                raise PoolError(
                    f"{source.name} cannot share a path with {first.name}: {setting} is {other} "
                    f"against {mine}; take another source, or accept what {first.name} has with "
                    f"models.ignore=[{setting}]"
                )
            _check_blocks(first, source)

    def _check(self, source: Source) -> None:
        for setting, mine, other in self._differences(source, self.reference, set()):
            raise PoolError(
                f"{source.name} does not fit {self.reference.name}: {setting} is {other} against "
                f"{mine}; take another source, or accept what {self.reference.name} has with "
                f"models.ignore=[{setting}]"
            )
        self._check_tensors(source)
        if "tokenizer" not in self.ignore:
            found = difference(_tokenizer(self.reference), _tokenizer(source))
            if found:
                raise PoolError(
                    f"{source.name} does not fit {self.reference.name}: in the vocabulary {found}; "
                    "take another source, or accept it with models.ignore=[tokenizer]"
                )

    def _differences(
        self, source: Source, first: Source, free: set[str]
    ) -> Iterator[tuple[str, Any, Any]]:
        mine, other = first.config, source.config
        for setting in sorted({*mine, *other} - INDIFFERENT - self.ignore - free):
            if mine.get(setting) != other.get(setting):
                yield setting, mine.get(setting), other.get(setting)

    def _check_tensors(self, source: Source) -> None:
        mine, other = self.reference.tensors, source.tensors
        for name in mine:
            if name not in other:
                raise PoolError(
                    f"{source.name} does not fit {self.reference.name}: it has no tensor {name}; "
                    "take a source of the same architecture"
                )
            if mine[name].shape != other[name].shape:
                raise PoolError(
                    f"{source.name} does not fit {self.reference.name}: {name} has shape "
                    f"{tuple(other[name].shape)} against {tuple(mine[name].shape)}; "
                    "take a source of the same sizes"
                )
        for name in other:
            if name not in mine:
                raise PoolError(
                    f"{source.name} does not fit {self.reference.name}: it has the tensor {name} "
                    "beyond; take a source of the same architecture"
                )


def _check_lists(source: Source) -> None:
    """Refuse settings of layers of which it is not known how they would go along a path."""
    for setting, value in source.config.items():
        if isinstance(value, list) and value and "layer" in setting and setting not in PER_LAYER:
            raise PoolError(
                f"{source.name} has the setting {setting}, of which evoforge does not know how it "
                "goes along a path; take another source, or merge weights"
            )


def _check_blocks(first: Source, source: Source) -> None:
    """Refuse blocks that hold other tensors than the first block of the first source."""
    wanted = {n: first.tensors[full].shape for n, full in block_tensors(first.tensors, 0).items()}
    for model in (first, source):
        for block in range(model.num_layers):
            found = block_tensors(model.tensors, block)
            shapes = {name: model.tensors[full].shape for name, full in found.items()}
            for name in sorted({*wanted, *shapes}):
                mine, other = wanted.get(name), shapes.get(name)
                if mine != other:
                    raise PoolError(
                        f"{source.name} cannot share a path with {first.name}: in layer {block} "
                        f"{name} has shape {_shape(other)} against {_shape(mine)}; take a source "
                        "of the same sizes"
                    )


def _shape(shape: Any) -> str:
    return "none" if shape is None else str(tuple(shape))


def _tokenizer(source: Source) -> Any:
    return load_tokenizer(source.folder, trust_remote_code=source.spec.trust_remote_code)


def open_pool(
    *,
    sources: Mapping[str, Mapping[str, Any]],
    tokenizer: str | None = None,
    dtype: str = "auto",
    ignore: Sequence[str] = (),
) -> Pool:
    """Open the sources of the `models` options and check them.

    Args:
        sources: name -> `path` and if wanted `revision`, `role`, `license`, `trust_remote_code`.
        tokenizer: see `Pool`.
        dtype: see `Pool`.
        ignore: see `Pool`.

    Raises:
        ConfigError: an option is unknown or makes no sense.
        PoolError: a source cannot be read, or does not fit the others.
    """
    known = set(SourceSpec.__dataclass_fields__) - {"name"}
    opened = []
    for name, options in sources.items():
        if not isinstance(options, Mapping):
            raise ConfigError(
                f"a source is written {{path: ...}}, got {options!r}; "
                f"set models.sources.{name}.path"
            )
        if unknown := sorted(set(options) - known):
            raise ConfigError(
                f"a source has the options {', '.join(sorted(known))}, got {unknown[0]}; "
                f"set models.sources.{name}"
            )
        if "path" not in options:
            raise ConfigError(f"a source needs a path; set models.sources.{name}.path")
        opened.append(open_source(SourceSpec(str(name), **options)))
    return Pool(opened, tokenizer=tokenizer, dtype=dtype, ignore=ignore)
