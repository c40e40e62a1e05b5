"""What a run needs of memory and disk, by phase and place.

Sums of what the code takes, not measured: `docs/large-models.md` says how near they come.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evoforge.demand.machine import GIB
from evoforge.demand.shape import Shape
from evoforge.demand.work import Setup, Work

# Python, torch and transformers themselves.
PROCESS = 600 << 20
# A CUDA context and its libraries' work space.
CONTEXT = 700 << 20
# Tokens that are read at once, and the activations of one, in widths of a block.
READ_TOGETHER = 1024
WIDTHS = 12
# Caches are laid out a little longer than they are filled.
LAID_OUT = 1.15
# Of a GPU's memory, what may be counted on.
USABLE = 0.92
# GPUs that people have, in GiB, and how many of them at most.
SIZES = (24, 48, 80)
MOST = 16
# Bytes of an answered item in the journal beside its text, and of one token of that.
ROW, TOKEN = 200, 4


@dataclass(frozen=True)
class Part:
    """Bytes that one thing takes.

    Args:
        what: for people.
        size: bytes.
        place: `memory`, `gpu`, or `mapped` for pages of files, which the system gives back.
        phases: in which it is there.
        shared: whether it is split evenly over the GPUs that one candidate takes.
    """

    what: str
    size: int
    place: str
    phases: tuple[str, ...]
    shared: bool = False


PHASES = ("merge", "answer", "export")


def parts(shape: Shape, setup: Setup, work: Work) -> list[Part]:
    """Return what takes memory in one process that evaluates."""
    place = "gpu" if setup.on_gpu else "memory"
    rest = (setup.models - 1) * shape.layer_bytes
    found = [
        Part("programs", PROCESS, "memory", PHASES),
        Part("sources, mapped", sum(setup.stored), "mapped", ("merge", "export")),
        Part("live model", shape.bytes, place, PHASES, shared=True),
    ]
    if setup.on_gpu:
        found.append(Part("CUDA", CONTEXT, "gpu", PHASES))
    if rest:
        found.append(Part("layers of other models", rest, place, PHASES, shared=True))
    if setup.merged:
        found.append(Part("merging", _merging(shape, setup), place, ("merge",)))
        found.append(Part("writing", _merging(shape, setup), "memory", ("export",)))
    found += _engine(shape, setup, work) if setup.engine == "vllm" else _hf(shape, setup, work)
    return found


def _merging(shape: Shape, setup: Setup) -> int:
    """Return the work space of a merge: some tensors of the largest size in float32."""
    count = setup.merged + 2 if setup.expands or setup.on_gpu else 4
    return count * shape.largest * 4


def _hf(shape: Shape, setup: Setup, work: Work) -> list[Part]:
    place = "gpu" if setup.on_gpu else "memory"
    rows = min(setup.batch, max(p.items for p in (work.search, work.select, work.test)))
    layers = setup.depth or shape.layers
    cache = rows * work.longest * LAID_OUT * shape.kept * layers * shape.itemsize
    widths = max(READ_TOGETHER, work.longest) * (WIDTHS * shape.hidden + 3 * shape.inner)
    logits = rows * shape.vocabulary * (shape.itemsize + 4)
    found = [
        Part("keys and values", int(cache), place, ("answer",), shared=True),
        Part("activations", int(widths * shape.itemsize + logits), place, ("answer",)),
    ]
    if setup.packs:
        packed = shape.used * shape.itemsize
        found.append(Part("reordered weights", packed, "memory", ("answer",)))
    return found


def _engine(shape: Shape, setup: Setup, work: Work) -> list[Part]:
    """Return what vLLM's engine takes; its cache is whatever its share leaves."""
    place = "gpu" if setup.gpus > 1 or setup.on_gpu else "memory"
    depth = setup.depth or shape.layers
    weights = _weights(shape, depth)
    least = work.longest * shape.kept * depth * shape.itemsize
    cache = max(least, setup.cache) if place == "memory" else least
    found = [
        Part("vLLM's weights", weights, place, PHASES, shared=True),
        Part("vLLM's keys and values, at least", int(cache), place, PHASES, shared=True),
    ]
    if setup.gpus > 1:
        found.append(Part("weights on their way to vLLM", weights, "memory", ("merge",)))
    return found


def _weights(shape: Shape, depth: int) -> int:
    """Return the bytes of a model with so many layers."""
    return shape.bytes - shape.layer_bytes + shape.layer_bytes * depth // max(1, shape.layers)


def total(found: Sequence[Part], place: str, phase: str, gpus: int = 1) -> int:
    """Return the bytes of a place in a phase; of a GPU those of each of several."""
    return sum(
        math.ceil(part.size / gpus) if part.shared and place == "gpu" else part.size
        for part in found
        if part.place == place and phase in part.phases
    )


def peak(found: Sequence[Part], place: str, gpus: int = 1) -> int:
    """Return the bytes of a place in the phase that takes most."""
    return max(total(found, place, phase, gpus) for phase in PHASES)


def on_gpus(shape: Shape, setup: Setup, work: Work, size: int) -> int | None:
    """Return how many GPUs of a size one candidate takes; None where none of these do.

    Args:
        shape: of the model.
        setup: how it answers; it is counted as if it did so on GPUs.
        work: the run.
        size: bytes of a GPU.
    """
    there = replace(setup, device="cuda", packs=False, workers=1)
    for count in range(1, MOST + 1):
        if setup.engine == "vllm" and count & (count - 1):
            continue  # heads are divided among GPUs evenly
        found = parts(shape, there, work)
        most = peak(found, "gpu", count)
        if count > 1:
            most += _uneven(shape)
        if most <= USABLE * size:
            return count
    return None


def _uneven(shape: Shape) -> int:
    """Return what a GPU may have more than its share: layers are not cut in two."""
    return max(shape.layer_bytes // max(1, shape.layers), shape.largest * shape.itemsize)


def disk(shape: Shape, setup: Setup, work: Work) -> Mapping[str, int]:
    """Return the bytes that a run writes, by what they are."""
    found = {"model": _weights(shape, setup.depth or shape.layers), "journal": _journal(work)}
    return {**found, **({"to fetch": setup.fetched} if setup.fetched else {})}


def _journal(work: Work) -> int:
    def of(items: float, written: float) -> float:
        return items * (ROW + TOKEN * written)

    searched = of((work.candidates or 0) * work.search.items, work.search.written)
    searched += of(work.baselines * work.baseline_items, work.search.written)
    selected = of(work.finalists * work.select.items, work.select.written)
    tested = of((work.baselines + 1) * work.test.items, work.test.written)
    return int(searched + selected + tested)


def gib(size: float) -> str:
    """Return bytes for people."""
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / (1 << 20):.0f} MiB"
