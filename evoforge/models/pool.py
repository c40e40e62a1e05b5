"""The pool: the ordered sources of a run, checked against each other before anything else.

Knows which settings must agree for weights to be merged; does not know how they are merged.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch

from evoforge.errors import ConfigError, PoolError
from evoforge.models.source import Source, SourceSpec, open_source
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


class Pool:
    """The sources of a run.

    Args:
        sources: what takes part, in order; exactly one may have the role `base`.
        tokenizer: whose tokenizer the merged model gets; the base's by default, or the first's.
        dtype: of merged models: `float32`, `float16`, `bfloat16`, or `auto` for the base's own.
        ignore: settings that may differ, and then are the base's: a wish, never a default.

    Raises:
        PoolError: sources that do not fit each other: the first difference, and what to do.
        ConfigError: an option makes no sense.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        tokenizer: str | None = None,
        dtype: str = "auto",
        ignore: Sequence[str] = (),
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
        self._tokenizer_of = self._member("tokenizer", tokenizer or self.reference.name)
        if dtype not in ("auto", *DTYPES):
            raise ConfigError(
                f"dtype must be auto, {', '.join(DTYPES)}, got {dtype}; set models.dtype"
            )
        self.dtype_name = self._own_dtype() if dtype == "auto" else dtype
        for source in self.members:
            if source is not self.reference:
                self._check(source)

    @property
    def reference(self) -> Source:
        """The source that settings come from: the base, or the first source if there is none."""
        return self.base or self.sources[0]

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
        return self._member("sources", name).tensors

    def hash(self, name: str) -> str:
        """Return the content hash of a member by its name."""
        return self._member("sources", name).hash

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

    def _check(self, source: Source) -> None:
        for setting, mine, other in self._differences(source):
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

    def _differences(self, source: Source) -> Iterator[tuple[str, Any, Any]]:
        mine, other = self.reference.config, source.config
        for setting in sorted({*mine, *other} - INDIFFERENT - self.ignore):
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
