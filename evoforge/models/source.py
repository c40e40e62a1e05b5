"""A source: one model that takes part, found on the hub, in a folder, or bundled with evoforge.

Knows how to get a model's files and read its settings; does not know other sources, but for the
one that an adapter changes.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from evoforge.errors import PoolError
from evoforge.models.adapter import SETTINGS, Adapter
from evoforge.models.expanded import Expanded
from evoforge.models.files import BUNDLED, ZOO, first_line, from_hub
from evoforge.models.gguf import ENDING, FEW_BITS, bits, gguf_file, unpacked
from evoforge.models.layout import Place, num_blocks, place
from evoforge.models.spec import SourceSpec
from evoforge.models.weights import Tensors, Weights
from evoforge.recipe import digest
from evoforge.zoo.wheel import WHEEL, gguf_in

log = logging.getLogger(__name__)

# Settings that are lists with a value for each transformer block.
PER_LAYER = ("layer_types", "no_rope_layers")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")


@dataclass
class Source:
    """A source whose files are at hand.

    Args:
        spec: what the user said.
        folder: where its settings and weights lie; for an adapter those of the model it changes.
        revision: the commit, for a model of the hub.
        adapter: what changes the weights, if the source is an adapter.
        changed: the source that the adapter changes.

    Raises:
        PoolError: the adapter is of another model.
    """

    spec: SourceSpec
    folder: Path
    revision: str | None = None
    adapter: Adapter | None = None
    changed: "Source | None" = None

    @property
    def name(self) -> str:
        """The source's name."""
        return self.spec.name

    def model_config(self) -> Any:
        """Return the settings in config.json: a transformers configuration, made anew.

        Raises:
            PoolError: they cannot be used.
        """
        from huggingface_hub.errors import StrictDataclassError
        from transformers import AutoConfig

        if self.changed is not None:
            return self.changed.model_config()
        faults = (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError)
        try:
            return AutoConfig.from_pretrained(
                self.folder, trust_remote_code=self.spec.trust_remote_code
            )
        except faults as error:
            raise PoolError(
                f"{self.folder}/config.json cannot be used: {first_line(error)}"
            ) from error

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The settings in config.json, as transformers reads them."""
        settings: dict[str, Any] = self.model_config().to_dict()
        return settings

    @property
    def tokenizer_folder(self) -> Path:
        """Where the tokenizer lies: beside an adapter, if one was saved with it."""
        if self.adapter is not None and self.changed is not None:
            own = self.adapter.folder
            if any((own / name).is_file() for name in TOKENIZER_FILES):
                return own
            return self.changed.tokenizer_folder
        return self.folder

    @cached_property
    def bits(self) -> float | None:
        """The bits a weight that a GGUF file holds; None for weights that were not unpacked."""
        return bits(self.folder)

    @cached_property
    def num_layers(self) -> int:
        """The number of transformer blocks.

        Raises:
            PoolError: the blocks are not numbered 0, 1, 2 ...
        """
        return num_blocks(tuple(self.tensors))

    @property
    def per_layer(self) -> dict[str, list[Any]]:
        """The settings that have a value for each transformer block, such as kinds of attention."""
        found = ((key, self.config.get(key)) for key in PER_LAYER)
        return {key: list(values) for key, values in found if values}

    @cached_property
    def tensors(self) -> Tensors:
        """The weights by name, without what some checkpoints store beside them.

        That is the copy of a tied output embedding, and what follows from the settings: the
        frequencies of rotary embeddings, and masks of attention. An adapter's are its model's
        with its changes, each made when it is asked for.

        Raises:
            PoolError: a file is missing or damaged, or an adapter is of another model.
        """
        tied = bool(self.config.get("tie_word_embeddings"))
        if self.adapter is not None and self.changed is not None:
            base = self.changed.tensors
            return Expanded(base, self.adapter.changes(base, self.changed.name, tied=tied))
        option = f"models.sources.{self.name}.pickled"
        weights = Weights(self.folder, pickled=self.spec.pickled, option=option)
        for name in list(weights):
            copied = tied and place(name) == Place(None, "head") and name.endswith(".weight")
            if copied or _follows(name, weights.shape(name)):
                weights.discard(name)
        return weights

    @property
    def stored(self) -> Mapping[str, torch.Tensor]:
        """The tensors in the source's own files: an adapter's matrices, or all weights."""
        return self.tensors if self.adapter is None else self.adapter.tensors

    @property
    def dtypes(self) -> set[torch.dtype]:
        """The types that the weights are stored in; for an adapter those of its model."""
        if self.changed is not None:
            return self.changed.dtypes
        return {self.tensors.dtype(name) for name in self.tensors}

    @cached_property
    def hashes(self) -> dict[str, str]:
        """The content hash of each tensor, by name."""
        return self.tensors.hashes()

    @cached_property
    def hash(self) -> str:
        """The content hash of all tensors: equal hashes, equal models."""
        return digest(self.hashes)

    @cached_property
    def license(self) -> str | None:
        """The licence the user gave, or the model card names; None if neither does."""
        card = (self.adapter or self).folder / "README.md"
        if self.spec.license or not card.is_file():
            return self.spec.license
        match = re.search(r"^license:\s*[\"']?([\w.-]+)", card.read_text("utf-8", "ignore"), re.M)
        return match.group(1) if match else None

    @property
    def facts(self) -> dict[str, Any]:
        """What reports and model cards say of the source."""
        return {
            "name": self.name,
            "path": self.spec.path,
            "revision": self.revision,
            "license": self.license,
            "role": self.spec.role,
            "hash": self.hash,
            **({"adapter_of": self.spec.adapter_of} if self.spec.adapter_of else {}),
            **({"bits": self.bits} if self.bits is not None else {}),
        }


def _follows(name: str, shape: Sequence[int]) -> bool:
    """Say whether a tensor is no weight but follows from the settings."""
    # A mask is called a bias in GPT-2 and GPT-NeoX, but has four dimensions where a bias has one.
    mask = name.endswith(("attn.bias", "attention.bias")) and len(shape) == 4
    return mask or name.endswith(("rotary_emb.inv_freq", ".masked_bias"))


def open_source(spec: SourceSpec, changed: Source | None = None) -> Source:
    """Find a source's files, fetching them from the hub if they are not there.

    Args:
        spec: what the user says of it.
        changed: the source that `spec.adapter_of` names.

    Raises:
        PoolError: there is no such folder or model, it is damaged, or the hub does not answer.
    """
    found, revision = _find(spec)
    if spec.adapter_of is not None:
        assert changed is not None
        return _adapter(spec, found, revision, changed)
    if path := _gguf(spec, found):
        return _unpacked(spec, path, revision)
    if not (found / "config.json").is_file():
        if (found / SETTINGS).is_file():
            raise PoolError(
                f"{found} is an adapter; name the source that it changes with "
                f"models.sources.{spec.name}.adapter_of"
            )
        raise PoolError(
            f"{found} has no config.json; give a model folder as models.sources.{spec.name}.path, "
            f"or name a GGUF file of a repository with models.sources.{spec.name}.file"
        )
    return Source(spec, found, revision)


def _find(spec: SourceSpec) -> tuple[Path, str | None]:
    """Return a source's folder, or its GGUF file, and the commit of a model of the hub."""
    if spec.path.startswith(BUNDLED):
        return _bundled(spec), None
    if spec.path.startswith(WHEEL):
        return gguf_in(spec.path.removeprefix(WHEEL)), None
    path = Path(spec.path).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix == ENDING):
        return path.resolve(), None
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", spec.path) or spec.path.startswith("."):
        raise PoolError(
            f"there is no folder {path}, and it is no hub id (owner/name); "
            f"set models.sources.{spec.name}.path"
        )
    return from_hub(
        spec.name,
        spec.path,
        spec.revision,
        file=spec.file,
        pickled=spec.pickled,
        code=spec.trust_remote_code,
    )


def _bundled(spec: SourceSpec) -> Path:
    name = spec.path.removeprefix(BUNDLED)
    settings = SETTINGS if spec.adapter_of else "config.json"
    folder = ZOO / name
    if not re.fullmatch(r"\w+(/\w+)?", name) or not (folder / settings).is_file():
        found = [path.parent.relative_to(ZOO) for path in ZOO.rglob(settings)]
        known = ", ".join(sorted(map(str, found)))
        raise PoolError(
            f"there is no bundled {'adapter' if spec.adapter_of else 'model'} {name!r}; choose "
            f"from {known}; set models.sources.{spec.name}.path"
        )
    return folder


def _adapter(spec: SourceSpec, folder: Path, revision: str | None, changed: Source) -> Source:
    if changed.adapter is not None:
        raise PoolError(
            f"{spec.name} is an adapter of {changed.name}, which is an adapter too; set "
            f"models.sources.{spec.name}.adapter_of to a whole model"
        )
    adapter = Adapter(folder, spec.name, pickled=spec.pickled)
    if not _same_name(adapter.base_name, gguf_file(changed.folder) or changed.spec.path):
        log.warning(
            "%s says that it was trained on %s, it will be put on %s; check "
            "models.sources.%s.adapter_of",
            *(spec.name, adapter.base_name, changed.spec.path, spec.name),
        )
    source = Source(spec, changed.folder, revision, adapter, changed)
    _ = source.tensors  # an adapter of another model is refused here, not when it is first read
    return source


def _same_name(first: str, second: str) -> bool:
    """Say whether two ids, folders or files may be one model's, by the last part of each."""
    names = (re.sub(r"\W|_", "", Path(path).name).lower() for path in (first, second))
    short, long = sorted(names, key=len)
    return short in long or BUNDLED in first + second


def _gguf(spec: SourceSpec, found: Path) -> Path | None:
    """Return the GGUF file of a source, or None where it is none."""
    if found.is_file():
        return found
    if spec.file is not None:
        if spec.file.endswith(ENDING) and (found / spec.file).is_file():
            return found / spec.file
        known = sorted(path.name for path in found.glob(f"*{ENDING}"))
        raise PoolError(
            f"{found} has no GGUF file {spec.file}; it has {', '.join(known) or 'none'}; "
            f"set models.sources.{spec.name}.file"
        )
    files = sorted(found.glob(f"*{ENDING}"))
    # A folder with settings of its own is a model; a GGUF file beside them is a copy.
    if not files or (found / "config.json").is_file():
        return None
    if len(files) > 1:
        raise PoolError(
            f"{found} has the GGUF files {', '.join(path.name for path in files)}; "
            f"choose one with models.sources.{spec.name}.file"
        )
    return files[0]


def _unpacked(spec: SourceSpec, path: Path, revision: str | None) -> Source:
    source = Source(spec, unpacked(path), revision)
    if source.bits is not None and source.bits < FEW_BITS:
        log.warning(
            "%s is quantised to %.2g bits a weight: such models merge poorly, because what "
            "fine-tuning changed is smaller than the steps; take unquantised weights if you can",
            *(spec.name, source.bits),
        )
    return source
