"""What models of the hub will take, told from small files before any weight is fetched.

Knows sizes of files; opens no weights. `preflight` measures what is there afterwards.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from evoforge.errors import PoolError
from evoforge.models.frame import sees
from evoforge.models.spec import SourceSpec
from evoforge.models.weights import INDEX, PICKLED_INDEX, PICKLED_SINGLE, SINGLE

# What merging and generating take beside the weights, in bytes.
WORKING = 300 << 20
# Seconds that the hub may take to say how large files are.
TIMEOUT = 10
GIB = 1 << 30
BITS = {"float32": 32, "float16": 16, "bfloat16": 16}


@dataclass(frozen=True)
class Size:
    """The weights of one model of the hub.

    Args:
        stored: bytes of its files.
        missing: bytes that are not in the hub's cache yet.
    """

    stored: int
    missing: int


def check_memory(specs: Iterable[SourceSpec], dtype: str) -> None:
    """Refuse models of the hub that this machine cannot hold, before they are fetched.

    Nothing is said of sources in folders: they are there already, and the pre-flight table tells.

    Args:
        specs: all sources.
        dtype: of merged models, or `auto` for the base's own.

    Raises:
        PoolError: what is needed, what is free, and what to do.
    """
    hub = [spec for spec in specs if on_hub(spec)]
    found = {spec.name: size(spec) for spec in hub}
    sizes = {name: each for name, each in found.items() if each is not None}
    if not sizes:
        return  # opening them says what is wrong
    _check_disk(sizes)
    needed = sum(each.stored for each in sizes.values()) + WORKING + _model(hub, sizes, dtype)
    free = psutil.virtual_memory().available
    if needed > free:
        each = ", ".join(f"{name} {size.stored / GIB:.1f}" for name, size in sizes.items())
        raise PoolError(
            f"the sources and one merged model take {needed / GIB:.1f} GiB of memory ({each}), but "
            f"{free / GIB:.1f} GiB are free; nothing was fetched: take smaller sources "
            "(models=smollm2), a machine with more memory, or set models.memory=ignore to have "
            "weights read from disk again and again"
        )


def _check_disk(sizes: Mapping[str, Size]) -> None:
    """Refuse to fetch more than the disk holds."""
    from huggingface_hub import constants

    missing = sum(each.missing for each in sizes.values())
    cache = Path(constants.HF_HUB_CACHE)
    place = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if missing > free:
        raise PoolError(
            f"{missing / GIB:.1f} GiB of weights are to be fetched, but {free / GIB:.1f} GiB are "
            f"free in {place}; set HF_HOME to a folder on a larger disk"
        )


def on_hub(spec: SourceSpec) -> bool:
    """Say whether a source is a whole model, or an adapter, of the hub."""
    name = re.fullmatch(r"[\w.-]+/[\w.-]+", spec.path) and not spec.path.startswith(".")
    return bool(name) and not Path(spec.path).expanduser().exists() and spec.file is None


def size(spec: SourceSpec) -> Size | None:
    """Return what the weights of a model of the hub take, or None where nobody knows.

    What the cache says is enough; else the hub is asked for the sizes of files; else the settings
    in the cache tell how many weights there are.
    """
    return _cached(spec) or _asked(spec) or _counted(spec)


def _cached(spec: SourceSpec) -> Size | None:
    """Return the size that the index or the weights in the cache have."""
    for single, index in ((SINGLE, INDEX), (PICKLED_SINGLE, PICKLED_INDEX)):
        if path := _file(spec, single):
            return Size(path.stat().st_size, 0)
        if path := _file(spec, index):
            content = _json(path)
            stored = content.get("metadata", {}).get("total_size")
            shards = set(content.get("weight_map", {}).values())
            if isinstance(stored, int | float):
                there = [found for shard in shards if (found := _file(spec, shard))]
                have = sum(found.stat().st_size for found in there)
                missing = 0 if len(there) == len(shards) else max(0, int(stored) - have)
                return Size(int(stored), missing)
    return None


def _asked(spec: SourceSpec) -> Size | None:
    """Return the size that the hub names, which costs one small request."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, HTTPError

    try:
        info = HfApi().model_info(
            spec.path, revision=spec.revision, files_metadata=True, timeout=TIMEOUT
        )
    except (OSError, HTTPError, HFValidationError, ValueError):
        return None  # fetching it says why
    files = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    for pattern in (r"(?!consolidated)[^/]+\.safetensors", r"pytorch_model[^/]*\.bin"):
        sizes = [size for name, size in files.items() if re.fullmatch(pattern, name)]
        if sizes:
            return Size(sum(sizes), sum(sizes))
    return None


def _counted(spec: SourceSpec) -> Size | None:
    """Return the size of as many weights as the settings in the cache ask for."""
    path = _file(spec, "config.json")
    if path is None or spec.adapter_of is not None:
        return None
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    try:
        config = AutoConfig.from_pretrained(path.parent)
        kind = AutoModelForImageTextToText if sees(config) else AutoModelForCausalLM
        with torch.device("meta"):
            model = kind.from_config(config)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # opening it says why
    stored = sum(weight.numel() for weight in model.parameters()) * _bits(_json(path)) // 8
    return Size(stored, stored)


def _model(hub: Sequence[SourceSpec], sizes: Mapping[str, Size], dtype: str) -> int:
    """Return the bytes of one merged model: as many weights as the base's, in their own type.

    Where a model sees pictures, its weights: merged models have its tower and projector too.
    """
    whole = [spec for spec in hub if spec.adapter_of is None and spec.name in sizes]
    if not whole:
        return 0
    base = next((spec for spec in whole if spec.role == "base"), whole[0])
    base = next((spec for spec in whole if "vision_config" in _config(spec)), base)
    own = _bits(_config(base))
    return sizes[base.name].stored * BITS.get(dtype, own) // own


def _bits(config: Mapping[str, Any]) -> int:
    return BITS.get(str(config.get("dtype") or config.get("torch_dtype")), 16)


def _config(spec: SourceSpec) -> dict[str, Any]:
    """Return the settings in the hub's cache, or none."""
    path = _file(spec, "config.json")
    return {} if path is None else _json(path)


def _file(spec: SourceSpec, name: str) -> Path | None:
    """Return where the hub's cache keeps a file of a model, or None."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(spec.path, name, revision=spec.revision)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
