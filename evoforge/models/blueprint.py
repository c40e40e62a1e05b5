"""A checkpoint's names, shapes and types without its weights.

Read from the headers of files, here or on the hub, or told from settings alone. What comes of it is
a checkpoint like any other whose tensors hold nothing, so that pools and mergers can be built of it
and say what they would need.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import torch

from evoforge.errors import PoolError
from evoforge.models.files import first_line
from evoforge.models.frame import sees
from evoforge.models.spec import SourceSpec
from evoforge.models.weights import INDEX, SINGLE, Weights

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
# Name -> (type as safetensors calls it, shape).
Header = Mapping[str, tuple[str, Sequence[int]]]


class Blueprint(Weights):
    """The tensors of a checkpoint, none of which holds anything.

    Args:
        folder: of the settings that go with it.
        tensors: without data: `device="meta"`.
    """

    def __init__(self, folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
        self.folder = folder
        self._tensors = dict(tensors)
        self._hashes: dict[str, str] = {}


def blueprint(spec: SourceSpec, folder: Path, *, hub: bool) -> Blueprint:
    """Return the blueprint of a source whose settings lie in a folder.

    Args:
        spec: what the user says of it.
        folder: holds config.json, and the weights unless they are the hub's.
        hub: whether the hub is asked for headers, should the folder hold no weights.

    Raises:
        PoolError: a file is damaged, or nobody knows of weights.
    """
    if (folder / SINGLE).is_file() or (folder / INDEX).is_file():
        found = _of_files(folder)
    elif hub and (header := _of_hub(spec)) is not None:
        found = header
    else:
        return Blueprint(folder, of_config(_config(spec, folder)))
    return Blueprint(folder, empty(found))


def empty(header: Header) -> dict[str, torch.Tensor]:
    """Return tensors without data for a header."""
    return {
        name: torch.empty(tuple(shape), dtype=DTYPES.get(kind, torch.uint8), device="meta")
        for name, (kind, shape) in header.items()
    }


def of_config(config: Any) -> dict[str, torch.Tensor]:
    """Return the tensors that a model of these settings has, without data."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.initialization import no_init_weights

    kind = AutoModelForImageTextToText if sees(config) else AutoModelForCausalLM
    dtype = config.dtype if isinstance(config.dtype, torch.dtype) else torch.bfloat16
    with torch.device("meta"), no_init_weights():
        model = kind.from_config(config, dtype=dtype)
    return {name: tensor.detach() for name, tensor in model.named_parameters()}


def _of_files(folder: Path) -> Header:
    """Return the headers of a folder's files, which are mapped and not read."""
    found: dict[str, tuple[str, Sequence[int]]] = {}
    for path in _files(folder):
        try:
            with safetensors.safe_open(path, framework="pt", device="cpu") as file:
                for name in file.keys():  # noqa: SIM118
                    piece = file.get_slice(name)
                    found[name] = (piece.get_dtype(), piece.get_shape())
        except (safetensors.SafetensorError, OSError) as error:
            raise PoolError(
                f"{path} is not a readable safetensors file ({error}); copy or download it again"
            ) from error
    return found


def _files(folder: Path) -> Iterable[Path]:
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    try:
        shards = set(json.loads((folder / INDEX).read_text("utf-8"))["weight_map"].values())
        return [folder / str(shard) for shard in sorted(shards)]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise PoolError(f"{folder / INDEX} is not an index of safetensors: {error}") from error


def _of_hub(spec: SourceSpec) -> Header | None:
    """Return the headers of a model's files on the hub, some kilobytes; None if there are none."""
    from huggingface_hub import get_safetensors_metadata
    from huggingface_hub.errors import HTTPError, NotASafetensorsRepoError

    try:
        metadata = get_safetensors_metadata(spec.path, revision=spec.revision)
    except NotASafetensorsRepoError:
        return None
    except (OSError, HTTPError, ValueError) as error:
        raise PoolError(
            f"cannot ask the hub for the sizes of {spec.path} ({first_line(error)}); check the id "
            f"and the network, or give a folder as models.sources.{spec.name}.path"
        ) from error
    return {
        name: (info.dtype, info.shape)
        for file in metadata.files_metadata.values()
        for name, info in file.tensors.items()
    }


def _config(spec: SourceSpec, folder: Path) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=spec.trust_remote_code)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PoolError(f"{folder}/config.json cannot be used: {first_line(error)}") from error
