"""The arithmetic of task vectors: drop, rescale, elect, add.

Task arithmetic, TIES and DARE are these four steps with different settings; each method's module
says which. All functions take and return float32 and change nothing they are given.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import torch

from evoforge.merge._reduce import total

# Below this a sum of weights, or a norm, counts as nothing.
EPSILON = 1e-8
NORM_EPSILON = 1e-7
# Elements hashed together: small enough for the caches.
BLOCK = 1 << 18
# Exponent and four bits of the mantissa: 4096 bins of magnitudes.
SHIFT = 19


def add(
    base: torch.Tensor,
    deltas: Sequence[torch.Tensor],
    weights: Sequence[float],
    *,
    elect: bool,
    normalize: bool,
    lambda_: float,
) -> torch.Tensor:
    """Return the base plus `lambda_` times the weighted sum of task vectors.

    With `elect`, the sign of each element is that of the weighted sum (0 counts as +), and only
    elements of that sign are added. With `normalize`, the sum is divided by the weights that took
    part in it: of each element, or of all sources where nothing is elected.

    Reference:
        Yadav 2023, TIES-Merging (arXiv 2306.01708), section 3.
        Ilharco 2023, Editing Models with Task Arithmetic (arXiv 2212.04089).
    """
    if not elect:
        mixed = torch.zeros_like(base)
        for delta, weight in zip(deltas, weights, strict=True):
            mixed.add_(delta, alpha=weight)
        summed = sum(weights)
        divisor = summed if normalize and abs(summed) >= EPSILON else 1.0
        return base + mixed.mul_(lambda_ / divisor)
    positive, negative = torch.zeros_like(base), torch.zeros_like(base)
    up, down = torch.zeros_like(base), torch.zeros_like(base)
    for delta, weight in zip(deltas, weights, strict=True):
        weighted = delta * weight
        positive.add_(weighted.clamp(min=0))
        negative.add_(weighted.clamp(max=0))
        if normalize:
            up.add_(weighted > 0, alpha=weight)
            down.add_(weighted < 0, alpha=weight)
    elected = positive + negative >= 0
    mixed = torch.where(elected, positive, negative)
    if normalize:
        divisors = torch.where(elected, up, down)
        mixed.div_(divisors.masked_fill_(divisors == 0, 1.0))
    return base + mixed.mul_(lambda_)


def rescale(sparse: torch.Tensor, delta: torch.Tensor, density: float, how: str) -> torch.Tensor:
    """Make up for what was dropped from a task vector.

    Args:
        sparse: what is left of it.
        delta: the whole.
        density: share that was kept, in (0, 1].
        how: `expected` divides by the density, so that the expected value stays (Yu 2024, DARE,
            arXiv 2311.03099, Eq. 3); `l1` keeps the sum of magnitudes; `none` does nothing.
    """
    if how == "none" or density >= 1.0:
        return sparse
    if how == "expected":
        return sparse / density
    before, after = total(delta.abs()), total(sparse.abs())
    if before < NORM_EPSILON or after < NORM_EPSILON:
        return sparse
    return sparse * (before / after)


class Magnitudes:
    """The magnitudes of one task vector, counted once, so that any threshold is quickly found.

    The counts tell in which bin the k-th largest magnitude lies; only that bin is searched. Exact
    for every k, without sorting the tensor again for each candidate.

    Args:
        delta: the task vector: float32, any shape.
    """

    def __init__(self, delta: torch.Tensor) -> None:
        counts = torch.bincount(_bins(delta.abs()), minlength=1 << (31 - SHIFT))
        # For each bin, how many elements lie in it or in a larger one; largest bin first.
        self._from_top = counts.flip(0).cumsum(0).numpy()
        self._found: dict[int, float] = {}

    def threshold(self, delta: torch.Tensor, count: int) -> float:
        """Return the `count`-th largest magnitude of the task vector this was made of."""
        if count not in self._found:
            place = int(np.searchsorted(self._from_top, count))
            above = int(self._from_top[place - 1]) if place else 0
            magnitudes = delta.abs().reshape(-1)
            bin_number = len(self._from_top) - 1 - place
            inside = magnitudes[_bins(magnitudes) == bin_number]
            # kthvalue counts from the smallest.
            kth = inside.numel() - (count - above) + 1
            self._found[count] = float(inside.kthvalue(kth).values)
        return self._found[count]


def _bins(magnitudes: torch.Tensor) -> torch.Tensor:
    # Floats of one sign are ordered as their bits are.
    return magnitudes.reshape(-1).view(torch.int32) >> SHIFT


def keep_largest(delta: torch.Tensor, density: float, magnitudes: Magnitudes) -> torch.Tensor:
    """Return a task vector with all but its largest elements set to 0.

    The floor(density n) largest magnitudes are kept, at least one, and all that equal the smallest
    of them.
    """
    count = max(1, int(density * delta.numel() + EPSILON))
    if count >= delta.numel():
        return delta
    threshold = magnitudes.threshold(delta, count)
    return torch.where(delta.abs() >= threshold, delta, 0.0)


def random_mask(
    key: str, shape: torch.Size, density: float, device: torch.device | None = None
) -> torch.Tensor:
    """Return a mask that keeps each element with probability `density`, fixed by the key.

    Every element's bit is a hash of the key and the element's place (counter-based), so it is the
    same on any device, in any order and on any number of threads.

    Args:
        key: what the mask belongs to: seed, source and tensor.
        shape: of the mask.
        density: in (0, 1].
        device: where to make it.
    """
    if density >= 1.0:
        return torch.ones(shape, dtype=torch.bool, device=device)
    words = np.frombuffer(blake2b(key.encode(), digest_size=8).digest(), dtype="<u4")
    first, second = (int(word) for word in words)
    limit = round(density * 2**32) - 2**31
    mask = torch.empty(shape.numel(), dtype=torch.bool, device=device)
    steps = torch.arange(min(BLOCK, mask.numel()), dtype=torch.int32, device=device)
    steps.mul_(_signed(0x9E3779B1))
    for start in range(0, mask.numel(), BLOCK):
        part = mask[start : start + BLOCK]
        offset = _signed(first + start * 0x9E3779B1)
        torch.lt(_hash(steps[: part.numel()] + offset, second), limit, out=part)
    return mask.view(shape)


def _hash(words: torch.Tensor, key: int) -> torch.Tensor:
    """MurmurHash3's 32-bit finaliser with a key inside; changes and returns `words`."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        words.bitwise_xor_((words >> shift).bitwise_and_((1 << (32 - shift)) - 1))
        words.mul_(_signed(factor)).bitwise_xor_(_signed(key))
    return words.bitwise_xor_((words >> 16).bitwise_and_(0xFFFF))


def _signed(word: int) -> int:
    """Return a 32-bit word as the int32 of the same bits."""
    return (word + 2**31) % 2**32 - 2**31
