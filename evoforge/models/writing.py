"""Tensors into checkpoint files one at a time: a model is written without ever being whole.

The files are byte for byte those of safetensors' own writer, which wants all tensors of a file at
once. Knows names, shapes and files; does not know where tensors come from.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from evoforge.models.weights import INDEX, SINGLE

# Bytes of a file, as the hub's own library splits models.
SHARD = 5 * 10**9
NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def write_tensors(
    folder: Path,
    shapes: Mapping[str, Sequence[int]],
    dtype: torch.dtype,
    tensor: Callable[[str], torch.Tensor],
    *,
    limit: int = SHARD,
) -> None:
    """Write a checkpoint: `model.safetensors`, or an index and shards.

    Args:
        folder: where to.
        shapes: of all tensors, in the order in which they are dealt out to shards.
        dtype: of all tensors: `float32`, `float16` or `bfloat16`.
        tensor: makes one; it is asked for each once, and what it returns is not kept.
        limit: bytes of a file; a larger tensor has one of its own.

    Raises:
        OSError: the disk is full, or cannot be written to.
    """
    shards = list(_shards(shapes, dtype.itemsize, limit))
    if len(shards) == 1:
        _write(folder / SINGLE, shards[0], shapes, dtype, tensor)
        return
    files = {
        f"model-{number:05}-of-{len(shards):05}.safetensors": names
        for number, names in enumerate(shards, start=1)
    }
    for file, names in files.items():
        _write(folder / file, names, shapes, dtype, tensor)
    total = sum(_numel(shape) for shape in shapes.values()) * dtype.itemsize
    shard_of = {name: file for file, names in files.items() for name in names}
    index = {"metadata": {"total_size": total}, "weight_map": shard_of}
    text = json.dumps(index, indent=2, sort_keys=True) + "\n"
    (folder / INDEX).write_text(text, "utf-8")


def _shards(shapes: Mapping[str, Sequence[int]], itemsize: int, limit: int) -> Iterator[list[str]]:
    shard: list[str] = []
    filled = 0
    for name, shape in shapes.items():
        size = _numel(shape) * itemsize
        if shard and filled + size > limit:
            yield shard
            shard, filled = [], 0
        shard.append(name)
        filled += size
    if shard or not shapes:
        yield shard


def _write(
    path: Path,
    names: Sequence[str],
    shapes: Mapping[str, Sequence[int]],
    dtype: torch.dtype,
    tensor: Callable[[str], torch.Tensor],
) -> None:
    ordered = sorted(names)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in ordered:
        start, end = end, end + _numel(shapes[name]) * dtype.itemsize
        header[name] = {
            "dtype": NAMES[dtype],
            "shape": list(shapes[name]),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    # What is mapped must begin at a multiple of the size of numbers.
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in ordered:
            file.write(_data(tensor(name), name, shapes[name], dtype))


def _data(found: torch.Tensor, name: str, shape: Sequence[int], dtype: torch.dtype) -> memoryview:
    assert found.dtype == dtype, name
    assert tuple(found.shape) == tuple(shape), name
    flat = found.detach().contiguous().reshape(-1).view(torch.uint8)
    return flat.numpy().data


def _numel(shape: Sequence[int]) -> int:
    return torch.Size(shape).numel()
