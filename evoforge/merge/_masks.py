"""Random masks that are a function of a key and a place: the same anywhere, in any order.

Each element's number is a hash of the key and of the element's place (counter-based), so a mask
does not depend on the device, on the number of threads, or on how a tensor is cut into parts.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import torch

from evoforge.merge._part import Part, signed

# The golden ratio's fraction, as an odd 32-bit word: spreads places over all words.
GOLDEN = 0x9E3779B1
# Elements of a tensor up to which its words are kept between candidates.
SMALL = 1 << 17


def mask_numbers(
    keys: Sequence[str], densities: Sequence[float], size: int, keep: bool
) -> dict[str, torch.Tensor]:
    """Return the numbers of random masks, one for each source.

    Args:
        keys: what each mask belongs to: seed, source and tensor.
        densities: the probability of each element to be kept, in (0, 1].
        size: the number of elements.
        keep: whether the hashes may be kept for the next candidate, if they are few.

    Returns:
        `limit`, and either the keys as `first` and `second` or the words themselves.
    """
    found = {"limit": torch.tensor([_limit(density) for density in densities], dtype=torch.int32)}
    if keep and size <= SMALL:
        return {**found, **{f"words{i}": _small_words(key, size) for i, key in enumerate(keys)}}
    first, second = _key_tensors(tuple(keys))
    return {**found, "first": first, "second": second}


def words(part: Part, index: int) -> torch.Tensor:
    """Return a source's hash words: int32, uniform, one for each element of a part."""
    shape = part.tensors[index].shape
    if f"words{index}" in part.numbers:
        return part[f"words{index}"].view(shape)
    count = part.tensors[index].numel()
    places = torch.arange(count, dtype=torch.int32, device=part.start.device)
    places = (places + part.start) * signed(GOLDEN) + part["first"][index]
    return _hash(places, part["second"][index]).view(shape)


def kept(part: Part, index: int) -> torch.Tensor:
    """Return a source's mask: 1.0 for each element that is kept, else 0.0."""
    return as_float(torch.le, words(part, index), part["limit"][index])


def as_float(
    compare: Callable[..., torch.Tensor], values: torch.Tensor, other: torch.Tensor | float
) -> torch.Tensor:
    """Return 1.0 where a comparison holds, else 0.0."""
    # On a CPU this takes a tenth of the time of masks of booleans and torch.where.
    return compare(values, other, out=torch.empty_like(values, dtype=torch.float32))


def _limit(density: float) -> int:
    """Return the largest word, as int32, of an element that is kept."""
    return max(min(round(density * 2**32), 2**32) - 1 - 2**31, -(2**31))


# At most 128 MB, and that only for models whose tensors are all of the largest small size.
@lru_cache(maxsize=256)
def _small_words(key: str, count: int) -> torch.Tensor:
    first, second = _key_words(key)
    places = torch.arange(count, dtype=torch.int32) * signed(GOLDEN) + first
    return _hash(places, torch.tensor(second, dtype=torch.int32))


@lru_cache(maxsize=1 << 16)
def _key_tensors(keys: tuple[str, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the two words of each key: (keys,) int32 each; not to be changed."""
    words = torch.tensor([_key_words(key) for key in keys], dtype=torch.int32)
    return words[:, 0].clone(), words[:, 1].clone()


def _key_words(key: str) -> tuple[int, int]:
    made = blake2b(key.encode(), digest_size=8).digest()
    first, second = (int(word) for word in np.frombuffer(made, dtype="<i4"))
    return first, second


def _hash(words: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """MurmurHash3's 32-bit finaliser with a key inside."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        words = words ^ ((words >> shift) & ((1 << (32 - shift)) - 1))
        words = (words * signed(factor)) ^ key
    return words ^ ((words >> 16) & 0xFFFF)
