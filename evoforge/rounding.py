"""What a merge loses when its weights are stored: rounding beside what merging changed.

Fine-tuning changes weights by about a percent, and bfloat16 keeps two to three digits, so the grid
that a merge is stored on can be coarser than what was merged.
"""

import math
from typing import Any

import torch

from evoforge.candidate import Candidate
from evoforge.models.pool import DTYPES, Pool

# Elements looked at together: small enough for the caches.
BLOCK = 1 << 20


def rounding(candidate: Candidate, pool: Pool) -> dict[str, Any] | None:
    """Return what is lost of a merge in each type that it could be stored in.

    Args:
        candidate: a merge of weights.
        pool: its sources.

    Returns:
        `dtype`: the type it is stored in; `lost`: for each type the norm of what rounding changes
        over the norm of what merging changed, against the base (or the first source). None for a
        path, and for a model that nothing was changed of.
    """
    if candidate.walk is not None:
        return None
    reference = pool.tensors(pool.reference.name)
    changed = 0.0
    lost = dict.fromkeys(DTYPES, 0.0)
    for name in candidate.names:
        merged, base = candidate.tensor(name).reshape(-1), reference[name].reshape(-1)
        for start in range(0, merged.numel(), BLOCK):
            block = merged[start : start + BLOCK]
            changed += _square(block - base[start : start + BLOCK])
            for dtype, kind in DTYPES.items():
                lost[dtype] += _square(block.to(kind) - block)
    if changed == 0:
        return None
    shares = {dtype: round(math.sqrt(value / changed), 6) for dtype, value in lost.items()}
    return {"dtype": pool.dtype_name, "lost": shares}


def _square(values: torch.Tensor) -> float:
    return float(values.double().square().sum())
