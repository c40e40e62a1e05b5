"""The arithmetic of task vectors: drop, rescale, elect, add.

Task arithmetic, TIES and DARE are these four steps with different settings; each method's module
says which. All functions take and return float32 and change nothing they are given.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import torch

from evoforge.merge._reduce import total

# Below this a sum of weights, or a norm, counts as nothing.
EPSILON = 1e-8
NORM_EPSILON = 1e-7
# Elements hashed together: small enough for the caches.
BLOCK = 1 << 18
# Elements of a tensor up to which something is kept for each of them between candidates.
SMALL = 1 << 18
# Exponent and four bits of the mantissa: 4096 bins of magnitudes.
SHIFT = 19
# The golden ratio's fraction, as an odd 32-bit word: spreads counters over all words.
GOLDEN = 0x9E3779B1


def add(
    base: torch.Tensor,
    deltas: Sequence[torch.Tensor],
    weights: Sequence[float],
    factors: Sequence[float],
    *,
    elect: bool,
    normalize: bool,
    lambda_: float,
) -> torch.Tensor:
    """Return the base plus `lambda_` times the weighted sum of task vectors.

    With `elect`, the sign of each element is that of the weighted sum (0 counts as +), and only
    elements of that sign are added. With `normalize`, the sum is divided by the weights that took
    part in it: of each element, or of all sources where nothing is elected.

    Args:
        base: float32, any shape.
        deltas: task vectors of that shape.
        weights: one for each task vector.
        factors: what each task vector is multiplied by before that, see `rescaling`.
        elect: whether signs are elected.
        normalize: whether to divide by the weights.
        lambda_: factor on the whole sum.

    Reference:
        Yadav 2023, TIES-Merging (arXiv 2306.01708), section 3.
        Ilharco 2023, Editing Models with Task Arithmetic (arXiv 2212.04089).
    """
    scaled = [d * (w * f) for d, w, f in zip(deltas, weights, factors, strict=True)]
    if not elect:
        summed = sum(weights)
        divisor = summed if normalize and abs(summed) >= EPSILON else 1.0
        return _sum(scaled).mul_(lambda_ / divisor).add_(base)
    positive = _sum([values.clamp(min=0) for values in scaled])
    negative = _sum([values.clamp(max=0) for values in scaled])
    elected = _where(torch.ge, positive + negative, 0)
    mixed = _pick(elected, positive, negative)
    if normalize:
        pairs = list(zip(scaled, weights, strict=True))
        up = _sum([_where(torch.gt, values, 0) * weight for values, weight in pairs])
        down = _sum([_where(torch.lt, values, 0) * weight for values, weight in pairs])
        divisors = _pick(elected, up, down)
        mixed.div_(divisors.add_(_where(torch.eq, divisors, 0)))
    return mixed.mul_(lambda_).add_(base)


def _sum(terms: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the sum of tensors that nobody needs any more, in the first of them."""
    for term in terms[1:]:
        terms[0].add_(term)
    return terms[0]


# On a CPU, comparing into floats and multiplying takes a tenth of the time of masks of booleans
# and torch.where.
def _where(compare: Callable[..., torch.Tensor], values: torch.Tensor, other: int) -> torch.Tensor:
    """Return 1.0 where a comparison holds, else 0.0."""
    return compare(values, other, out=torch.empty_like(values, dtype=torch.float32))


def _pick(chosen: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the first where chosen is 1.0, the second where it is 0.0."""
    return (first * chosen).add_(second * (1 - chosen))


def rescaling(sparse: torch.Tensor, delta: torch.Tensor, density: float, how: str) -> float:
    """Return the factor that makes up for what was dropped from a task vector.

    Args:
        sparse: what is left of it.
        delta: the whole.
        density: share that was kept, in (0, 1].
        how: `expected` divides by the density, so that the expected value stays (Yu 2024, DARE,
            arXiv 2311.03099, Eq. 3); `l1` keeps the sum of magnitudes; `none` does nothing.
    """
    if how == "none" or density >= 1.0:
        return 1.0
    if how == "expected":
        return 1.0 / density
    before, after = total(delta.abs()), total(sparse.abs())
    return before / after if min(before, after) >= NORM_EPSILON else 1.0


class Magnitudes:
    """The magnitudes of one task vector, looked at once, so that any threshold is quickly found.

    Small ones are sorted. Of large ones the magnitudes are counted: the counts tell in which bin
    the k-th largest lies, and only that bin is searched. Exact for every k either way.

    Args:
        delta: the task vector: float32, any shape.
    """

    def __init__(self, delta: torch.Tensor) -> None:
        magnitudes = delta.abs().reshape(-1)
        self._sorted = self._from_top = None
        self._found: dict[int, float] = {}
        if magnitudes.numel() <= SMALL:
            self._sorted = magnitudes.sort(descending=True).values.numpy()
        else:
            counts = torch.bincount(_bins(magnitudes), minlength=1 << (31 - SHIFT))
            # For each bin, how many elements lie in it or in a larger one; largest bin first.
            self._from_top = counts.flip(0).cumsum(0).numpy()

    def threshold(self, delta: torch.Tensor, count: int) -> float:
        """Return the `count`-th largest magnitude of the task vector this was made of."""
        if self._sorted is not None:
            return float(self._sorted[count - 1])
        if count not in self._found:
            self._found[count] = self._search(delta.abs().reshape(-1), count)
        return self._found[count]

    def _search(self, magnitudes: torch.Tensor, count: int) -> float:
        assert self._from_top is not None
        place = int(np.searchsorted(self._from_top, count))
        above = int(self._from_top[place - 1]) if place else 0
        inside = magnitudes[_bins(magnitudes) == len(self._from_top) - 1 - place]
        # kthvalue counts from the smallest.
        return float(inside.kthvalue(inside.numel() - (count - above) + 1).values)


def _bins(magnitudes: torch.Tensor) -> torch.Tensor:
    # Floats of one sign are ordered as their bits are.
    return magnitudes.view(torch.int32) >> SHIFT


def keep_largest(delta: torch.Tensor, density: float, magnitudes: Magnitudes) -> torch.Tensor:
    """Return a task vector with all but its largest elements set to 0.

    The floor(density n) largest magnitudes are kept, at least one, and all that equal the smallest
    of them.
    """
    count = max(1, int(density * delta.numel() + EPSILON))
    if count >= delta.numel():
        return delta
    threshold = np.float32(magnitudes.threshold(delta, count))
    # hardshrink drops what is not above its bound, so the bound is the next number below.
    return torch.nn.functional.hardshrink(delta, float(np.nextafter(threshold, np.float32(0))))


def random_mask(
    key: str, shape: torch.Size, density: float, device: torch.device | None = None
) -> torch.Tensor:
    """Return a mask, 1.0 for each element that is kept: with probability `density`, by the key.

    Every element's bit is a hash of the key and the element's place (counter-based), so it is the
    same on any device, in any order and on any number of threads.

    Args:
        key: what the mask belongs to: seed, source and tensor.
        shape: of the mask.
        density: in (0, 1].
        device: where to make it.
    """
    if density >= 1.0:
        return torch.ones(shape, device=device)
    limit = min(round(density * 2**32), 2**32 - 1) - 2**31
    count = shape.numel()
    if count <= SMALL:
        return _where(torch.lt, _small_words(key, count, device), limit).view(shape)
    mask = torch.empty(count, device=device)
    for start in range(0, count, BLOCK):
        part = mask[start : start + BLOCK]
        torch.lt(_words(key, start, part.numel(), device), limit, out=part)
    return mask.view(shape)


# At most 256 MB, and that only for models whose tensors are all of the largest small size.
@lru_cache(maxsize=256)
def _small_words(key: str, count: int, device: torch.device | None) -> torch.Tensor:
    return _words(key, 0, count, device)


def _words(key: str, start: int, count: int, device: torch.device | None) -> torch.Tensor:
    """Return the hash words of some elements: (count,) int32."""
    digest = blake2b(key.encode(), digest_size=8).digest()
    first, second = (int(word) for word in np.frombuffer(digest, dtype="<u4"))
    places = torch.arange(count, dtype=torch.int32, device=device)
    words = places.mul_(_signed(GOLDEN)).add_(_signed(first + start * GOLDEN))
    return _hash(words, second)


def _hash(words: torch.Tensor, key: int) -> torch.Tensor:
    """MurmurHash3's 32-bit finaliser with a key inside; changes and returns `words`."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        words.bitwise_xor_((words >> shift).bitwise_and_((1 << (32 - shift)) - 1))
        words.mul_(_signed(factor)).bitwise_xor_(_signed(key))
    return words.bitwise_xor_((words >> 16).bitwise_and_(0xFFFF))


def _signed(word: int) -> int:
    """Return a 32-bit word as the int32 of the same bits."""
    return (word + 2**31) % 2**32 - 2**31
