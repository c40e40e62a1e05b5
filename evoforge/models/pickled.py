"""Tensors in pickled files, read only where the user wishes it.

Only plain tensors come out: torch's restricted unpickler knows how to build them and nothing else,
so a file that asks for anything more is refused before it can run.
"""

import struct
import warnings
from pathlib import Path
from pickle import UnpicklingError  # the exception alone

import torch

from evoforge.errors import PoolError

FAULTS = (
    RuntimeError,
    OSError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)


def read_pickled(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file that `torch.save` wrote from a state dict.

    Raises:
        PoolError: the file is truncated, holds something else than tensors, or would run code.
    """
    try:
        found = _load(path)
    except UnpicklingError as error:
        raise PoolError(
            f"{path} asks for more than plain tensors, which could run code, or is damaged "
            f"({_reason(error)}); take safetensors, or copy or download it again"
        ) from error
    # Broken files fail in whatever place they happen to break.
    except FAULTS as error:
        raise PoolError(
            f"{path} is not a readable file of torch ({_reason(error)}); copy or download it again"
        ) from error
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in found.items()
    ):
        raise PoolError(f"{path} is no state dict of tensors by name; give a model's weights")
    # Not parameters, and without gradients, whatever was saved.
    return {name: tensor.detach() for name, tensor in found.items()}


def _load(path: Path) -> object:
    # Only files of the newer zip format can be mapped; old ones are read whole.
    with path.open("rb") as file:
        mapped = file.read(2) == b"PK"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of files that are refused anyway
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
