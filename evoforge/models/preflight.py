"""The pre-flight look at a pool: how the sources lie to each other, and what the run will need.

Reads every tensor once, in blocks; keeps nothing.
"""

from dataclasses import dataclass, replace

import psutil
import torch

from evoforge.errors import PoolError
from evoforge.models.forecast import WORKING
from evoforge.models.pool import Pool
from evoforge.models.source import Source
from evoforge.models.vision import Difference
from evoforge.models.weights import Tensors

# Elements looked at together: small enough for the caches.
BLOCK = 1 << 20


@dataclass(frozen=True)
class SourceCheck:
    """One row of the pre-flight table.

    Args:
        name: the source.
        role: `base` or `source`.
        license: where it is known.
        dtypes: the types its tensors are stored in.
        parameters: number of weights.
        norm: Euclidean norm of the task vector (source minus base, or minus the sources' mean
            where the pool has no base).
        relative: that norm over the base's own.
        cosines: cosine of the task vector to each other source's, by name.
        conflicts: share of its changed weights that the sum of all task vectors moves the other
            way; 0 where the pool has no base, because those sum to nothing.
        bits: bits a weight of the quantised file that the weights come from; None for others.
    """

    name: str
    role: str
    license: str | None
    dtypes: tuple[str, ...]
    parameters: int
    norm: float
    relative: float
    cosines: dict[str, float]
    conflicts: float
    bits: float | None = None


@dataclass(frozen=True)
class Preflight:
    """What is known before the first candidate.

    Args:
        rows: one for each source, base first if there is one.
        needed: bytes for the sources, one model, and work.
        available: bytes of memory that are free now.
        differences: in what the source that sees and the text model differ, and what was chosen.
        frozen: number of weights around the language part, which are never merged.
    """

    rows: tuple[SourceCheck, ...]
    needed: int
    available: int
    differences: tuple[Difference, ...] = ()
    frozen: int = 0


def preflight(pool: Pool, num_models: int = 1) -> Preflight:
    """Measure a pool: one pass over all weights.

    Args:
        pool: the sources.
        num_models: how many models evaluation keeps in memory.

    Raises:
        PoolError: a weight is not finite.
    """
    count = len(pool.sources)
    gram = torch.zeros(count, count, dtype=torch.float64)
    own = 0.0
    changed = torch.zeros(count, dtype=torch.float64)
    against = torch.zeros(count, dtype=torch.float64)
    _check_finite(pool)
    for name in _shared(pool):
        flat = [pool.tensors(s.name)[name].reshape(-1) for s in pool.sources]
        base = None if pool.base is None else pool.tensors(pool.base.name)[name].reshape(-1)
        for start in _starts(flat[0]):
            part = torch.stack([tensor[start : start + BLOCK].float() for tensor in flat])
            centre = part.mean(0) if base is None else base[start : start + BLOCK].float()
            deltas = part - centre
            own += float(centre.double().square().sum())
            gram += (deltas @ deltas.T).double()
            total = deltas.sum(0)
            changed += (deltas != 0).sum(1)
            if base is not None:
                against += (deltas * total < 0).sum(1)
    norms = gram.diagonal().sqrt()
    cosines = gram / (norms[:, None] * norms).clamp_min(1e-30)
    rows = [_row(pool, i, norms, cosines, own, changed, against) for i in range(count)]
    if pool.base is not None:
        rows.insert(0, _base_row(pool.base))
    found = Preflight(tuple(rows), needed(pool, num_models), psutil.virtual_memory().available)
    if pool.vision is None:
        return found
    differences = pool.vision.differences(pool.model_config(), pool.tokenizer)
    frozen = _parameters(pool.vision.frozen)
    return replace(found, differences=tuple(differences), frozen=frozen)


def _shared(pool: Pool) -> list[str]:
    """Return the tensors that all members have in one shape: all, if they can be merged."""
    mine = pool.tensors(pool.reference.name)
    others = [pool.tensors(member.name) for member in pool.members]
    return [
        name
        for name in pool.names
        if all(name in t and t.shape(name) == mine.shape(name) for t in others)
    ]


def _check_finite(pool: Pool) -> None:
    given = [(source, source.stored) for source in pool.members]
    if pool.vision is not None:
        given.append((pool.vision.source, pool.vision.frozen))
    for source, tensors in given:
        for name, tensor in tensors.items():
            flat = tensor.reshape(-1)
            if not all(torch.isfinite(flat[i : i + BLOCK]).all() for i in _starts(flat)):
                raise PoolError(
                    f"{source.name} has values in {name} that are not finite (NaN or infinite); "
                    "take another source, or copy the model again"
                )


def _starts(flat: torch.Tensor) -> range:
    return range(0, flat.numel(), BLOCK)


def needed(pool: Pool, num_models: int = 1) -> int:
    """Return the bytes of memory a run takes: the sources, the models that answer, and work."""
    sources = sum(_size(pool, source) for source in pool.members)
    weights = _parameters(pool.tensors(pool.reference.name))
    frozen = 0
    if pool.vision is not None:
        # What is around the language part is read once, and is in the one model that answers.
        frozen = _parameters(pool.vision.frozen)
        kept = pool.vision.frozen
        sources += sum(kept.shape(n).numel() * kept.dtype(n).itemsize for n in kept)
    return sources + (num_models * weights + frozen) * pool.dtype.itemsize + WORKING


def _size(pool: Pool, source: Source) -> int:
    """Return the bytes that a source keeps in memory: an adapter its matrices alone."""
    if source.adapter is not None:
        return sum(tensor.nbytes for tensor in source.stored.values())
    found = pool.tensors(source.name)
    return sum(found.shape(name).numel() * found.dtype(name).itemsize for name in found)


def _parameters(tensors: Tensors) -> int:
    return sum(tensors.shape(name).numel() for name in tensors)


def _row(
    pool: Pool,
    index: int,
    norms: torch.Tensor,
    cosines: torch.Tensor,
    own: float,
    changed: torch.Tensor,
    against: torch.Tensor,
) -> SourceCheck:
    source = pool.sources[index]
    return SourceCheck(
        name=source.name,
        role=source.spec.role,
        license=source.license,
        dtypes=_dtypes(source),
        parameters=_parameters(source.tensors),
        norm=float(norms[index]),
        relative=float(norms[index]) / max(own**0.5, 1e-30),
        cosines={
            other.name: float(cosines[index, j])
            for j, other in enumerate(pool.sources)
            if j != index
        },
        conflicts=float(against[index] / changed[index].clamp_min(1)),
        bits=source.bits if source.adapter is None else None,
    )


def _base_row(source: Source) -> SourceCheck:
    return SourceCheck(
        name=source.name,
        role="base",
        license=source.license,
        dtypes=_dtypes(source),
        parameters=_parameters(source.tensors),
        norm=0.0,
        relative=0.0,
        cosines={},
        conflicts=0.0,
        bits=source.bits,
    )


def _dtypes(source: Source) -> tuple[str, ...]:
    return tuple(sorted(str(dtype).removeprefix("torch.") for dtype in source.dtypes))
