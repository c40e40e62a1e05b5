"""LoRA adapters: small matrices that change another source's weights.

Knows how peft writes adapters and what they do to weights; does not know how weights are merged.
An adapter that does more than add matrices or put other tensors in their place is refused: what
comes out of here is exactly what peft's own merging gives.

Reference:
    Hu 2021, LoRA (arXiv 2106.09685); Kalajdzievski 2023, rsLoRA (arXiv 2312.03732).
"""

import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from evoforge.errors import PoolError
from evoforge.models.expanded import Change
from evoforge.models.layout import Place, place
from evoforge.models.pickled import read_pickled
from evoforge.models.weights import Tensors, read_file, refuse_pickled

SETTINGS = "adapter_config.json"
STORED = "adapter_model.safetensors"
PICKLED_STORED = "adapter_model.bin"
PREFIX = "base_model.model."
EMBEDDING, HEAD = Place(None, "embedding"), Place(None, "head")

# Settings that are used here, and such that say nothing of what an adapter does once it is trained.
USED = {
    "peft_type",
    "r",
    "lora_alpha",
    "rank_pattern",
    "alpha_pattern",
    "use_rslora",
    "fan_in_fan_out",
    "init_lora_weights",
    "base_model_name_or_path",
    "ensure_weight_tying",
}
INDIFFERENT = {
    "task_type",
    "auto_mapping",
    "peft_version",
    "revision",
    "inference_mode",
    "lora_dropout",
    "target_modules",
    "exclude_modules",
    "modules_to_save",
    "layers_to_transform",
    "layers_pattern",
    "bias",
    "lora_bias",
    "loftq_config",
    "eva_config",
    "corda_config",
    "lora_ga_config",
    "runtime_config",
    "megatron_core",
    "qalora_group_size",
}
# Ways to draw the first matrices that leave the base as it is; PiSSA and others change it.
INNOCENT = (True, False, None, "gaussian", "eva", "orthogonal")
FLAGS = ("use_rslora", "fan_in_fan_out", "ensure_weight_tying")
_MATRIX = re.compile(
    r"(.+)\.(lora_A|lora_B|lora_embedding_A|lora_embedding_B)(?:\.default)?(?:\.(weight|bias))?$"
)


class Adapter:
    """A LoRA adapter as peft saves it.

    Args:
        folder: holds `adapter_config.json` and `adapter_model.safetensors`.
        name: of the source, for errors.
        pickled: whether `adapter_model.bin` will do instead.

    Raises:
        PoolError: a file is missing or damaged, or the adapter does more than can be expanded.
    """

    def __init__(self, folder: Path, name: str, *, pickled: bool = False) -> None:
        self.folder = folder
        self.name = name
        self.settings = _settings(folder)
        self.tensors = _read(folder, name, pickled)
        self._check_settings()

    def _check_settings(self) -> None:
        kind = self.settings.get("peft_type")
        if kind != "LORA":
            raise PoolError(
                f"{self.name} is an adapter of kind {kind}, evoforge expands LORA; merge it into "
                "its base with peft and give the folder"
            )
        _check_types(self.folder / SETTINGS, self.settings)
        start = self.settings.get("init_lora_weights", True)
        if start not in INNOCENT:
            self._refuse(f"init_lora_weights={start}")
        for key, value in self.settings.items():
            if value and key not in USED | INDIFFERENT:
                self._refuse(f"{key}={value}")

    def _refuse(self, what: str) -> None:
        raise PoolError(
            f"{self.name} has {what} in {SETTINGS}, which evoforge cannot expand exactly; merge it "
            "into its base with peft and give the folder"
        )

    @property
    def base_name(self) -> str:
        """What the adapter calls the model that it was trained on."""
        return str(self.settings.get("base_model_name_or_path") or "")

    def changes(
        self,
        base: Tensors,
        base_name: str,
        *,
        tied: bool,
        plain: Callable[[str], str | None] | None = None,
    ) -> dict[str, Change]:
        """Return what the adapter does to the tensors of a base.

        Args:
            base: the base's weights.
            base_name: the base, for errors.
            tied: whether the base's output embedding is its embedding.
            plain: returns what the base calls a tensor, or None if it is not of its language
                part; for a base that sees pictures.

        Raises:
            PoolError: the adapter is of another base.
        """
        found: dict[str, Change] = {}
        for module, parts in self._modules().items():
            for ending, change in self._module(module, parts).items():
                full = f"{module}{ending}"
                full = full if plain is None else self._plain(full, plain)
                name = _known(full, base)
                if name is None and tied and place(full) == HEAD:
                    name = full
                elif name is None:
                    raise PoolError(
                        f"{self.name} does not fit {base_name}, which has no tensor "
                        f"{module}{ending}; set models.sources.{self.name}.adapter_of to the model "
                        "that the adapter was trained on"
                    )
                elif base.shape(name) != change.shape:
                    raise PoolError(
                        f"{self.name} does not fit {base_name}: it changes {name} of shape "
                        f"{tuple(change.shape)} against {tuple(base.shape(name))}; set "
                        f"models.sources.{self.name}.adapter_of to the model that the adapter was "
                        "trained on"
                    )
                found[name] = change
        found = self._tied(found) if tied else found
        return {name: new for name, old in found.items() if (new := _own(old, base[name])).parts}

    def _plain(self, name: str, plain: Callable[[str], str | None]) -> str:
        """Return what a base that sees pictures calls a tensor of its language part."""
        found = plain(name)
        if found is None:
            raise PoolError(
                f"{self.name} changes {name}, which is not of the language part that is merged; "
                "merge it into its base with peft and give the folder"
            )
        return found

    def _modules(self) -> dict[str, dict[str, torch.Tensor]]:
        """Return what is stored for each module."""
        found: dict[str, dict[str, torch.Tensor]] = {}
        for key, tensor in self.tensors.items():
            name = key.removeprefix(PREFIX)
            name = name.replace(".base_layer.", ".").replace(".modules_to_save.", ".")
            if match := _MATRIX.match(name):
                ending = ".bias" if match.group(3) == "bias" else ""
                found.setdefault(match.group(1), {})[match.group(2) + ending] = tensor
                continue
            module, _, ending = name.rpartition(".")
            if "lora_" in name or "token_adapter" in name or ending not in ("weight", "bias"):
                raise PoolError(
                    f"{self.name} stores {key}, which evoforge cannot expand exactly; merge it "
                    "into its base with peft and give the folder"
                )
            found.setdefault(module, {})[ending] = tensor
        if not found:
            raise PoolError(f"{self.folder} stores no tensors; copy or download it again")
        return found

    def _module(self, module: str, parts: Mapping[str, torch.Tensor]) -> dict[str, Change]:
        """Return the changes of a module's weight and bias, by the ending of their names."""
        embedded = "lora_embedding_A" in parts or "lora_embedding_B" in parts
        kind = "lora_embedding_" if embedded else "lora_"
        down, up = parts.get(f"{kind}A"), parts.get(f"{kind}B")
        if (down is None) != (up is None):
            raise PoolError(f"{self.name} has half of the change of {module}; copy it again")
        found = {}
        scaling = 1.0
        if down is not None and up is not None:
            scaling = self._scaling(module, down, up)
        if down is not None or "weight" in parts:
            transposed = embedded or bool(self.settings.get("fan_in_fan_out"))
            found[".weight"] = Change(
                module, down, up, scaling, transposed, instead=parts.get("weight")
            )
        if "lora_B.bias" in parts or "bias" in parts:
            found[".bias"] = Change(
                module,
                scaling=scaling,
                added=parts.get("lora_B.bias"),
                instead=parts.get("bias"),
            )
        return found

    def _scaling(self, module: str, down: torch.Tensor, up: torch.Tensor) -> float:
        rank = _of(self.settings.get("rank_pattern"), module, self.settings.get("r", 8))
        alpha = _of(self.settings.get("alpha_pattern"), module, self.settings.get("lora_alpha", 8))
        if down.ndim != 2 or up.ndim != 2 or not down.shape[0] == up.shape[1] == rank:
            raise PoolError(
                f"{self.name} has matrices of shapes {tuple(down.shape)} and {tuple(up.shape)} for "
                f"{module}, against rank {rank} in {SETTINGS}; copy or download it again"
            )
        return float(alpha / math.sqrt(rank) if self.settings.get("use_rslora") else alpha / rank)

    def _tied(self, found: dict[str, Change]) -> dict[str, Change]:
        """Return the changes of a base that has one tensor for embedding and output embedding."""
        heads = [name for name in found if place(name) == HEAD]
        touched = [*heads, *(name for name in found if place(name) == EMBEDDING)]
        stored = [found[name].instead for name in touched if found[name].down is None]
        whole = [tensor for tensor in stored if tensor is not None]
        equal = len(whole) == 2 and torch.equal(whole[0], whole[1])
        alone = len(whole) == 1 and not heads and self.settings.get("ensure_weight_tying")
        if touched and not (len(whole) == len(touched) and (equal or alone)):
            raise PoolError(
                f"{self.name} changes {touched[0]}, while its base has one tensor for embedding "
                "and output embedding; merge it into its base with peft and give the folder"
            )
        return {name: change for name, change in found.items() if name not in heads}


def _own(change: Change, tensor: torch.Tensor) -> Change:
    """Return a change without what only repeats the base, as peft saves embeddings."""
    given = change.instead
    if given is not None and given.dtype == tensor.dtype and torch.equal(given, tensor):
        return replace(change, instead=None)
    return change


def _known(name: str, base: Tensors) -> str | None:
    """Return what a base calls a tensor: checkpoints of bare models lack the first part."""
    bare = name.partition(".")[2]
    return next((known for known in (name, bare) if known in base), None)


def _of(pattern: Any, module: str, default: Any) -> Any:
    """Return a module's value of a pattern, as peft finds it."""
    for key, value in (pattern or {}).items():
        if re.match(_expression(key), module):
            return value
    return default


def _expression(key: str) -> str:
    return rf"(.*\.)?({key})$"


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PoolError(f"{path} cannot be used: {error}; copy or download it again") from error
    if not isinstance(found, dict):
        raise PoolError(f"{path} is not the settings of a LoRA adapter; copy or download it again")
    return found


def _check_types(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuse settings that are used here and are not of the type that peft gives them."""
    for key in ("r", "lora_alpha"):
        _check_number(path, key, settings.get(key, 8), whole=key == "r")
    for key in FLAGS:
        # peft itself takes null as false.
        if not isinstance(settings.get(key), bool | None):
            raise _wrong(path, key, settings[key], "true or false")
    for key in ("rank_pattern", "alpha_pattern"):
        pattern = settings.get(key)
        if pattern is not None and not isinstance(pattern, dict):
            raise _wrong(path, key, pattern, "a mapping of modules to numbers")
        for module, value in (pattern or {}).items():
            _check_number(path, f"{key}.{module}", value, whole=key == "rank_pattern")
            try:
                re.compile(_expression(module))
            except (re.error, OverflowError, RecursionError) as error:
                wanted = f"with a regular expression for each module ({error})"
                raise _wrong(path, key, pattern, wanted) from error


def _check_number(path: Path, setting: str, value: Any, *, whole: bool) -> None:
    # true and false are whole numbers for Python.
    if whole and not (type(value) is int and value >= 1):
        raise _wrong(path, setting, value, "a whole number of at least 1")
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
        raise _wrong(path, setting, value, "a number")


def _wrong(path: Path, setting: str, value: Any, wanted: str) -> PoolError:
    return PoolError(
        f"{path} has {setting}={value!r}, not {wanted}; correct it, or copy or download it again"
    )


def _read(folder: Path, name: str, pickled: bool) -> dict[str, torch.Tensor]:
    if (folder / STORED).is_file():
        return read_file(folder / STORED)
    if pickled and (folder / PICKLED_STORED).is_file():
        return read_pickled(folder / PICKLED_STORED)
    refuse_pickled(folder, pickled, f"models.sources.{name}.pickled")
    raise PoolError(f"{folder} has no {STORED}; copy or download the adapter again")
