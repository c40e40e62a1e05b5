"""A source: one model that takes part.

Knows a model's files and reads its settings; does not know other sources, but for the one that an
adapter changes, nor how files are found.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from evoforge.errors import PoolError
from evoforge.models.adapter import Adapter
from evoforge.models.expanded import Expanded
from evoforge.models.files import first_line
from evoforge.models.frame import Frame, sees
from evoforge.models.gguf import bits
from evoforge.models.layout import Place, num_blocks, place
from evoforge.models.spec import SourceSpec
from evoforge.models.weights import Renamed, Tensors, Weights
from evoforge.recipe import digest

# Settings that are lists with a value for each transformer block.
PER_LAYER = ("layer_types", "no_rope_layers")
# Settings that tell who wrote the file, and not what the model is.
SAYS_NOTHING = ("transformers_version", "_name_or_path")
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
        plan: names and shapes to be taken for the weights, which are not read then.

    Raises:
        PoolError: the adapter is of another model.
    """

    spec: SourceSpec
    folder: Path
    revision: str | None = None
    adapter: Adapter | None = None
    changed: "Source | None" = None
    plan: Weights | None = None

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
        faults = (
            *(OSError, ValueError, LookupError, TypeError, AttributeError, StrictDataclassError),
            *(RecursionError, ArithmeticError),
        )
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
        """The settings in config.json, as transformers reads them.

        Of a model that sees pictures they are those of its language part.
        """
        if self.changed is not None:
            return self.changed.config
        found = self.model_config()
        if self.frame is None:
            settings: dict[str, Any] = found.to_dict()
            return settings
        return {**found.get_text_config().to_dict(), "tie_word_embeddings": self.frame.tied}

    @cached_property
    def frame(self) -> Frame | None:
        """What the model is around its language part; None for a text model and an adapter.

        Raises:
            PoolError: the language part is not found.
        """
        config = None if self.changed is not None else self.model_config()
        if config is None or not sees(config):
            return None
        found = Frame(config, self.weights, self.name)
        found.check_known()
        return found

    @property
    def sees(self) -> bool:
        """Whether the model, or the one that the adapter changes, reads pictures."""
        return (self.changed or self).frame is not None

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
        with its changes, each made when it is asked for. Of a model that sees pictures they are
        the language part's, under the names of a text model.

        Raises:
            PoolError: a file is missing or damaged, or an adapter is of another model.
        """
        tied = bool(self.config.get("tie_word_embeddings"))
        if self.adapter is not None and self.changed is not None:
            base, frame = self.changed.tensors, self.changed.frame
            plain = None if frame is None else frame.plain
            changes = self.adapter.changes(base, self.changed.name, tied=tied, plain=plain)
            return Expanded(base, changes)
        if self.frame is not None:
            return Renamed(self.weights, self.frame.language)
        for name in list(self.weights):
            if tied and place(name) == Place(None, "head") and name.endswith(".weight"):
                self.weights.discard(name)
        return self.weights

    @cached_property
    def weights(self) -> Weights:
        """All tensors of the folder by their stored names, but for what follows from the settings.

        Of a model that sees pictures those around its language part are among them.

        Raises:
            PoolError: a file is missing or damaged.
        """
        option = f"models.sources.{self.name}.pickled"
        weights = self.plan
        if weights is None:
            weights = Weights(self.folder, pickled=self.spec.pickled, option=option)
        for name in list(weights):
            if _follows(name, weights.shape(name)):
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
    def settings_hash(self) -> str | None:
        """The content hash of config.json, or of an adapter's own settings.

        None for a GGUF file: its settings are made of what its hash is of already.
        """
        if self.adapter is not None:
            return digest(self.adapter.settings)
        if self.bits is not None:
            return None
        content = json.loads((self.folder / "config.json").read_text("utf-8"))
        return digest({key: value for key, value in content.items() if key not in SAYS_NOTHING})

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
