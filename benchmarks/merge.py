"""What merging large models costs, beside the time to copy the bytes that a merge moves.

    python benchmarks/merge.py                # 135M and 1.1B parameters, bfloat16, random weights
    python benchmarks/merge.py --sizes 135m --methods ties,della
    python benchmarks/merge.py --mergekit PYTHON   # an interpreter that has mergekit 0.1.5

Every time stands beside a reference measured in the same run. Measure with nothing else running.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig

from evoforge.merge.base import merger_class
from evoforge.models.pool import Pool, open_pool

SIZES = {
    "135m": {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
        "tie_word_embeddings": True,
    },
    "1.1b": {
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "vocab_size": 32000,
        "tie_word_embeddings": False,
    },
}
WEIGHT = {"low": 0.0, "high": 1.0}
DENSITY = {"low": 0.3, "high": 0.7}
RANGES = {
    "linear": {"weight": WEIGHT},
    "task_arithmetic": {"weight": WEIGHT},
    "slerp": {"t": WEIGHT},
    "dare_linear": {"weight": WEIGHT, "density": DENSITY},
    "dare_ties": {"weight": WEIGHT, "density": DENSITY},
    "ties": {"weight": WEIGHT, "density": DENSITY},
    "breadcrumbs": {"weight": WEIGHT, "density": DENSITY},
    "della": {"weight": WEIGHT, "density": DENSITY},
}
# How many times the copy a method may take.
WANTED = {"linear": 4, "task_arithmetic": 4, "dare_linear": 4, "dare_ties": 4}
OTHERS_WANTED = 8
CANDIDATES = 6


def make(folder: Path, size: str) -> None:
    """Write a random base and three fine-tunes of it: 1 % changes, bfloat16."""
    config = LlamaConfig(**SIZES[size], max_position_embeddings=2048, dtype="bfloat16")
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        from transformers import LlamaForCausalLM

        shapes = {n: t.shape for n, t in LlamaForCausalLM(config).state_dict().items()}
    if config.tie_word_embeddings:
        shapes.pop("lm_head.weight")
    base = {n: torch.randn(s, generator=generator).mul_(0.04).bfloat16() for n, s in shapes.items()}
    for name in ("base", "a", "b", "c"):
        tensors = base
        if name != "base":
            tensors = {
                n: (t.float() + torch.randn(t.shape, generator=generator).mul_(4e-4)).bfloat16()
                for n, t in base.items()
            }
        (folder / name).mkdir(parents=True)
        save_file(tensors, folder / name / "model.safetensors", metadata={"format": "pt"})
        config.save_pretrained(folder / name)
        _tokenizer().save_pretrained(folder / name)


def _tokenizer() -> object:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, "a")))


def open_models(folder: Path) -> Pool:
    """Open the four models of a size."""
    names = ("base", "a", "b", "c")
    return open_pool(
        sources={
            name: {"path": str(folder / name), "role": "base" if name == "base" else "source"}
            for name in names
        }
    )


def median(work: Callable[[int], None], count: int = CANDIDATES) -> tuple[float, float]:
    """Return the seconds of a first run, and the median of those after it."""
    times = []
    for i in range(count + 1):
        start = time.perf_counter()
        work(i)
        times.append(time.perf_counter() - start)
    return times[0], statistics.median(times[1:])


def copy_seconds(nbytes: float) -> float:
    """Return the seconds to move so many bytes: half are read, half are written."""
    size = min(int(nbytes / 2), 1 << 30)
    source = torch.ones(size // 2, dtype=torch.bfloat16)
    target = torch.empty_like(source)

    def copy(_: int) -> None:
        target.copy_(source)

    _, once = median(copy)
    return once * nbytes / (2 * size)


class Peak:
    """The largest resident memory of the process, watched by a thread."""

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._over.wait(0.01):
            self.bytes = max(self.bytes, process.memory_info().rss)

    def stop(self) -> int:
        """Return the peak in bytes."""
        self._over.set()
        self._thread.join()
        return self.bytes


@dataclass(frozen=True)
class Row:
    """What one method takes: seconds, and its ratio to the copy."""

    method: str
    first: float
    seconds: float
    copy: float
    partial: float


def measure(pool: Pool, method: str, out: dict[str, torch.Tensor]) -> Row:
    """Merge several candidates into one model in memory."""
    options = RANGES[method]
    merger = merger_class(method)(pool, **options)
    draw = np.random.default_rng(0)

    def candidate(_: int) -> None:
        made = merger.build(merger.recipe(draw.random(merger.space.dim)))
        for name in made.names:
            made.write(name, out[name])

    first, seconds = median(candidate)
    weights = sum(t.numel() for t in pool.reference.tensors.values())
    # Bytes that must move: the sources that take part, and the result.
    moved = 2 * weights * (len(pool.sources) + merger.needs_base + 1)
    return Row(method, first, seconds, copy_seconds(moved), _partial(pool, method, out, seconds))


def _partial(pool: Pool, method: str, out: dict[str, torch.Tensor], whole: float) -> float:
    """Return what a genome costs that changes one of about ten groups, over a full merge."""
    from evoforge.evaluator._live import LiveModel

    layers = pool.reference.num_layers
    merger = merger_class(method)(
        pool, granularity="block", block_size=math.ceil(layers / 8), **RANGES[method]
    )
    live = LiveModel(pool, device="cpu", attention="sdpa")
    genome = merger.space.init
    live.write(merger.build(merger.recipe(genome)))
    mine = [i for i, name in enumerate(merger.space.names) if name.startswith("layers0-")]

    def change(i: int) -> None:
        changed = genome.copy()
        changed[mine] = 0.3 + 0.05 * i
        live.write(merger.build(merger.recipe(changed)))

    return median(change)[1] / whole
