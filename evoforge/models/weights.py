"""Tensors in files: one file or many, memory-mapped, never written to.

Knows files and names; does not know what a model is. Nothing here runs code, and nothing is
unpickled without the user's wish.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import safetensors
import torch
import xxhash

from evoforge.errors import PoolError
from evoforge.models.pickled import read_pickled

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED_SINGLE = "pytorch_model.bin"
PICKLED_INDEX = "pytorch_model.bin.index.json"
Reader = Callable[[Path], dict[str, torch.Tensor]]
PICKLED = (".bin", ".pt", ".pth", ".ckpt")


class Tensors(Mapping[str, torch.Tensor], ABC):
    """Tensors by name that say their shapes and types without being read or computed."""

    @abstractmethod
    def shape(self, name: str) -> torch.Size:
        """Return a tensor's shape."""

    @abstractmethod
    def dtype(self, name: str) -> torch.dtype:
        """Return a tensor's type."""

    @abstractmethod
    def hashes(self) -> dict[str, str]:
        """Return each tensor's content hash, by name."""


class Weights(Tensors):
    """The tensors of one checkpoint folder by name.

    The tensors are views of memory-mapped files: they cost memory only while they are read, and
    every process of a machine shares them.

    Args:
        folder: holds `model.safetensors`, or an index and its shards.
        pickled: whether `pytorch_model.bin`, or its index and shards, will do instead.
        option: what a user sets to allow them, such as `models.sources.a.pickled`.

    Raises:
        PoolError: a file is missing, pickled against the wish, truncated or not what it should be.
    """

    def __init__(
        self, folder: Path, *, pickled: bool = False, option: str = "models.sources.NAME.pickled"
    ) -> None:
        self.folder = folder
        self._tensors: dict[str, torch.Tensor] = {}
        self._hashes: dict[str, str] = {}
        read, files, promised = _files(folder, pickled, option)
        for path in files:
            self._tensors.update(read(path))
        for name in promised:
            if name not in self._tensors:
                raise PoolError(
                    f"the index in {folder} names {name}, which is in no shard; "
                    "copy the model again"
                )

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def shape(self, name: str) -> torch.Size:
        """Return a tensor's shape."""
        return self._tensors[name].shape

    def dtype(self, name: str) -> torch.dtype:
        """Return a tensor's type."""
        return self._tensors[name].dtype

    def discard(self, name: str) -> None:
        """Forget a tensor that is not a weight of its own."""
        self._tensors.pop(name)

    def hashes(self) -> dict[str, str]:
        """Return each tensor's content hash: its type, shape and bytes."""
        for name in self._tensors:
            # Each of a model's adapters asks again.
            if name not in self._hashes:
                self._hashes[name] = content_hash(self._tensors[name])
        return {name: self._hashes[name] for name in sorted(self._tensors)}


class Renamed(Tensors):
    """Some of the tensors of a checkpoint, under other names.

    Args:
        tensors: all.
        names: the name here -> the name there.
    """

    def __init__(self, tensors: Tensors, names: Mapping[str, str]) -> None:
        self._tensors = tensors
        self._names = dict(names)

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._tensors[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def shape(self, name: str) -> torch.Size:
        """Return a tensor's shape."""
        return self._tensors.shape(self._names[name])

    def dtype(self, name: str) -> torch.dtype:
        """Return a tensor's type."""
        return self._tensors.dtype(self._names[name])

    def hashes(self) -> dict[str, str]:
        """Return each tensor's content hash, by its name here."""
        return {name: content_hash(self[name]) for name in sorted(self._names)}


def differing(found: Mapping[str, str], recorded: Mapping[str, str]) -> list[str]:
    """Return the names of tensors whose hashes differ from recorded ones, or that only one has.

    Args:
        found: the hashes by name, as of now.
        recorded: the hashes by name, as they were.
    """
    names = sorted({*found, *recorded})
    return [name for name in names if found.get(name) != recorded.get(name)]


def _files(folder: Path, pickled: bool, option: str) -> tuple[Reader, list[Path], list[str]]:
    """Return what reads a checkpoint's files, the files, and the names that its index promises."""
    kinds: list[tuple[Reader, str, str]] = [(read_file, SINGLE, INDEX)]
    if pickled:
        kinds.append((read_pickled, PICKLED_SINGLE, PICKLED_INDEX))
    # As transformers does: a single file comes before an index, safetensors before pickles.
    for read, single, index in kinds:
        if (folder / single).is_file():
            return read, [folder / single], []
        if (folder / index).is_file():
            return read, *_shards(folder / index)
    refuse_pickled(folder, pickled, option)
    raise PoolError(f"{folder} has no {SINGLE} and no {INDEX}; give a model folder")


def refuse_pickled(folder: Path, pickled: bool, option: str) -> None:
    """Refuse a folder whose weights are pickled: unwished, or not where they are looked for.

    Raises:
        PoolError: it has pickled weights.
    """
    found = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLED)
    if found and pickled:
        raise PoolError(
            f"{folder} has pickled weights in {found[0]}, only {PICKLED_SINGLE} and its shards are "
            "read; convert them to safetensors"
        )
    if found:
        raise PoolError(
            f"{folder} has only pickled weights ({found[0]}), which can run code when opened; "
            f"convert them to safetensors, or have plain tensors read from them with {option}=true"
        )


def _shards(index: Path) -> tuple[list[Path], list[str]]:
    kind = "pickled shards" if index.name == PICKLED_INDEX else "safetensors"
    try:
        shard_of = json.loads(index.read_text("utf-8"))["weight_map"]
        shards = sorted(set(shard_of.values()))
        paths = [index.parent / shard for shard in shards]
        there = [
            path.name == shard and path.is_file() for path, shard in zip(paths, shards, strict=True)
        ]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, OSError) as error:
        raise PoolError(f"{index} is not an index of {kind}: {error}") from error
    for shard, is_there in zip(shards, there, strict=True):
        if not is_there:
            raise PoolError(f"{index} names {shard}, which is not in the folder; copy it there")
    return paths, list(shard_of)


def read_file(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file, as views of the mapped file.

    Raises:
        PoolError: the file is truncated, or no safetensors file.
    """
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise PoolError(
            f"{path} is not a readable safetensors file ({error}); copy or download it again"
        ) from error


def content_hash(tensor: torch.Tensor) -> str:
    """Return the hash of a tensor's type, shape and bytes."""
    state = xxhash.xxh3_128(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    if not tensor.is_meta:  # of a blueprint, which holds nothing
        state.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return str(state.hexdigest())
