"""What a run is made of, as numbers: its candidates, what they are asked, and how they answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Engine = Literal["hf", "vllm"]


@dataclass(frozen=True)
class Asked:
    """Items of one kind, such as those of a generation.

    Args:
        items: how many there are.
        read: tokens of a prompt, on average.
        longest: tokens of the longest prompt with its answer.
        written: tokens of an answer at most, on average; 0 where texts are only compared.
    """

    items: int
    read: float
    longest: int
    written: float


@dataclass(frozen=True)
class Work:
    """A run.

    Args:
        search: what a candidate is asked, if none falls behind.
        select: what a finalist is asked.
        test: what the winner and the baselines are asked.
        candidates: of all searches together; None where only time limits them.
        baselines: how many are scored beside the winner.
        baseline_items: search items that they answer.
        finalists: of all searches together.
    """

    search: Asked
    select: Asked
    test: Asked
    candidates: int | None
    baselines: int
    baseline_items: int
    finalists: int

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt with its answer."""
        return max(part.longest for part in (self.search, self.select, self.test))


@dataclass(frozen=True)
class Setup:
    """How candidates are merged and answer.

    Args:
        engine: `hf`, or `vllm` with a live model of transformers beside it.
        device: where candidates are merged: `cpu`, `cuda`, `cuda:1`, ...
        batch: sequences computed together.
        models: models that are in memory to answer, beside the first as far as their layers go.
        depth: transformer blocks of the longest path; None for the model's own.
        stored: bytes of each source's weights on disk.
        merged: sources that a tensor is made of, the base included; 0 where nothing is merged.
        expands: whether a source is an adapter, whose tensors are made in float32 when needed.
        spread: whether the live model lies on several devices.
        packs: whether the CPU answers by reordered copies of the weights.
        workers: processes that evaluate at the same time.
        share: of a GPU's memory that vLLM takes.
        gpus: that vLLM's engine takes.
        cache: bytes of vLLM's cache on a CPU.
        element: seconds to merge one element on this machine; None where bandwidth tells.
        fetched: bytes that the hub has and this machine does not.
    """

    engine: Engine
    device: str
    batch: int
    models: int
    stored: Sequence[int]
    merged: int
    depth: int | None = None
    expands: bool = False
    spread: bool = False
    packs: bool = False
    workers: int = 1
    share: float = 0.7
    gpus: int = 1
    cache: int = 1 << 30
    element: float | None = None
    fetched: int = 0
    names: Sequence[str] = field(default=())

    @property
    def on_gpu(self) -> bool:
        """Whether candidates are merged on a GPU."""
        return self.device.startswith("cuda")
