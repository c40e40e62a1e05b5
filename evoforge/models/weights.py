"""Tensors in safetensors files: one file or many, memory-mapped, never written to.

Knows files and names; does not know what a model is. Nothing here unpickles or runs code.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import safetensors
import torch
import xxhash

from evoforge.errors import PoolError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = (".bin", ".pt", ".pth", ".ckpt")


class Weights(Mapping[str, torch.Tensor]):
    """The tensors of one checkpoint folder by name.

    The tensors are views of memory-mapped files: they cost memory only while they are read, and
    every process of a machine shares them.

    Args:
        folder: holds `model.safetensors`, or an index and its shards.

    Raises:
        PoolError: a file is missing, pickled, truncated or not a safetensors file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tensors: dict[str, torch.Tensor] = {}
        files, promised = _files(folder)
        for path in files:
            self._tensors.update(_read(path))
        for name in promised:
            if name not in self._tensors:
                raise PoolError(
                    f"{folder / INDEX} names {name}, which is in no shard; copy the model again"
                )

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def discard(self, name: str) -> None:
        """Forget a tensor that is not a weight of its own."""
        self._tensors.pop(name)

    def hashes(self) -> dict[str, str]:
        """Return each tensor's content hash: its type, shape and bytes."""
        return {name: _hash(self._tensors[name]) for name in sorted(self._tensors)}


def _files(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the files of a checkpoint, and the names that its index promises."""
    # As transformers does: a single file comes before an index.
    if (folder / SINGLE).is_file():
        return [folder / SINGLE], []
    if (folder / INDEX).is_file():
        return _shards(folder / INDEX)
    pickled = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLED)
    if pickled:
        raise PoolError(
            f"{folder} has only pickled weights ({pickled[0]}), which can run code when opened; "
            "convert them to safetensors"
        )
    raise PoolError(f"{folder} has no {SINGLE} and no {INDEX}; give a model folder")


def _shards(index: Path) -> tuple[list[Path], list[str]]:
    try:
        shard_of = json.loads(index.read_text("utf-8"))["weight_map"]
        shards = sorted(set(shard_of.values()))
        paths = [index.parent / shard for shard in shards]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise PoolError(f"{index} is not an index of safetensors: {error}") from error
    for shard, path in zip(shards, paths, strict=True):
        if path.name != shard or not path.is_file():
            raise PoolError(f"{index} names {shard}, which is not in the folder; copy it there")
    return paths, list(shard_of)


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise PoolError(
            f"{path} is not a readable safetensors file ({error}); copy or download it again"
        ) from error


def _hash(tensor: torch.Tensor) -> str:
    state = xxhash.xxh3_128(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    state.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return str(state.hexdigest())
