"""A source: one model that takes part, found on the hub, in a folder, or bundled with evoforge.

Knows how to get a model's files and read its settings; does not know other sources.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from evoforge.errors import ConfigError, PoolError
from evoforge.models.layout import num_blocks
from evoforge.models.weights import Weights
from evoforge.recipe import digest

BUNDLED = "bundled:"
ZOO = Path(__file__).parents[1] / "zoo"
ROLES = ("source", "base")
# Settings that are lists with a value for each transformer block.
PER_LAYER = ("layer_types", "no_rope_layers")
# Weights and settings only: nothing that could be executed is ever fetched.
WANTED = ["*.safetensors", "*.json", "tokenizer.model", "*.jinja", "README.md"]
# Second copies of the same weights in other formats.
UNWANTED = ["consolidated*", "original/*", "*/*"]


@dataclass(frozen=True)
class SourceSpec:
    """What the user says of a source.

    Args:
        name: what it is called in recipes, tables and pictures.
        path: a hub id, a folder, or `bundled:NAME`.
        revision: branch, tag or commit on the hub; the commit it leads to is recorded.
        role: `base` for the model that task vectors are taken from, else `source`.
        license: overrides what the model card says.
        trust_remote_code: whether this model's own code may be run; off unless it is needed.

    Raises:
        ConfigError: a name or role that cannot be used.
    """

    name: str
    path: str
    revision: str | None = None
    role: str = "source"
    license: str | None = None
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.path, str):
            raise ConfigError(
                f"the path of a source must be a text, got {self.path!r}; "
                f"set models.sources.{self.name}.path"
            )
        if not isinstance(self.trust_remote_code, bool):
            raise ConfigError(
                f"trust_remote_code must be true or false, got {self.trust_remote_code!r}; "
                f"set models.sources.{self.name}.trust_remote_code"
            )
        for option in ("revision", "license"):
            value = getattr(self, option)
            if value is not None and not isinstance(value, str):
                raise ConfigError(
                    f"{option} must be a text, got {value!r}; "
                    f"set models.sources.{self.name}.{option}"
                )
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.name):
            raise ConfigError(
                f"the name of a source must be letters, digits, - and _, got {self.name!r}; "
                "rename it in models.sources"
            )
        if self.role not in ROLES:
            raise ConfigError(
                f"role must be one of {', '.join(ROLES)}, got {self.role}; "
                f"set models.sources.{self.name}.role"
            )


@dataclass
class Source:
    """A source whose files are at hand.

    Args:
        spec: what the user said.
        folder: where its files lie.
        revision: the commit, for a model of the hub.
    """

    spec: SourceSpec
    folder: Path
    revision: str | None = None

    @property
    def name(self) -> str:
        """The source's name."""
        return self.spec.name

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The settings in config.json, as transformers reads them."""
        from huggingface_hub.errors import StrictDataclassError
        from transformers import AutoConfig

        faults = (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError)
        try:
            config = AutoConfig.from_pretrained(
                self.folder, trust_remote_code=self.spec.trust_remote_code
            )
        except faults as error:
            raise PoolError(
                f"{self.folder}/config.json cannot be used: {_first_line(error)}"
            ) from error
        settings: dict[str, Any] = config.to_dict()
        return settings

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
    def tensors(self) -> Weights:
        """The weights by name, without what some checkpoints store beside them.

        That is the copy of a tied output embedding, and the frequencies of rotary embeddings,
        which follow from the settings.
        """
        weights = Weights(self.folder)
        tied = bool(self.config.get("tie_word_embeddings"))
        for name in list(weights):
            if name.endswith("rotary_emb.inv_freq") or (tied and name == "lm_head.weight"):
                weights.discard(name)
        return weights

    @cached_property
    def hash(self) -> str:
        """The content hash of all tensors: equal hashes, equal models."""
        return digest(self.tensors.hashes())

    @cached_property
    def license(self) -> str | None:
        """The licence the user gave, or the model card names; None if neither does."""
        card = self.folder / "README.md"
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
        }


def open_source(spec: SourceSpec) -> Source:
    """Find a source's files, fetching them from the hub if they are not there.

    Raises:
        PoolError: there is no such folder or model, or the hub does not answer.
    """
    if spec.path.startswith(BUNDLED):
        name = spec.path.removeprefix(BUNDLED)
        folder = ZOO / name
        if not re.fullmatch(r"\w+", name) or not (folder / "config.json").is_file():
            known = sorted(path.parent.name for path in ZOO.glob("*/config.json"))
            raise PoolError(
                f"there is no bundled model {name!r}; choose from {', '.join(known)}; "
                f"set models.sources.{spec.name}.path"
            )
        return Source(spec, folder)
    folder = Path(spec.path).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise PoolError(
                f"{folder} has no config.json; give a model folder as "
                f"models.sources.{spec.name}.path"
            )
        return Source(spec, folder.resolve())
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", spec.path) or spec.path.startswith("."):
        raise PoolError(
            f"there is no folder {folder}, and it is no hub id (owner/name); "
            f"set models.sources.{spec.name}.path"
        )
    return _from_hub(spec)


def _from_hub(spec: SourceSpec) -> Source:
    from huggingface_hub import snapshot_download

    # The hub's client raises its HTTP library's own errors; which library depends on its version.
    from huggingface_hub.errors import HFValidationError, HTTPError

    wanted = [*WANTED, "*.py"] if spec.trust_remote_code else WANTED
    try:
        found = snapshot_download(
            spec.path, revision=spec.revision, allow_patterns=wanted, ignore_patterns=UNWANTED
        )
    except (OSError, HTTPError, HFValidationError, ValueError) as error:
        raise PoolError(
            f"cannot get {spec.path} from the hub ({_first_line(error)}); check the id and the "
            f"network, or give a folder as models.sources.{spec.name}.path"
        ) from error
    folder = Path(found)
    # The hub's cache keeps each commit in a folder of its name.
    commit = folder.name if re.fullmatch(r"[0-9a-f]{40}", folder.name) else spec.revision
    return Source(spec, folder, commit)


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
