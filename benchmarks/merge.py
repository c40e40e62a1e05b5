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
from pathlib import Path

import numpy as np
import psutil
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

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
# What gives the seconds of a first run of some work, and the median of those after it.
Timed = Callable[[Callable[[int], None]], tuple[float, float]]


def make(folder: Path, size: str) -> None:
    """Write a random base and three fine-tunes of it: 1 % changes, bfloat16."""
    config = LlamaConfig(**SIZES[size], max_position_embeddings=2048, dtype="bfloat16")
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
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


def _tokenizer() -> PreTrainedTokenizerFast:
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


def copy_seconds(nbytes: float, device: str = "cpu", timed: Timed = median) -> float:
    """Return the seconds to move so many bytes within a device: half are read, half are written."""
    size = min(int(nbytes / 2), 1 << 30)
    source = torch.ones(size // 2, dtype=torch.bfloat16, device=device)
    target = torch.empty_like(source)

    def copy(_: int) -> None:
        target.copy_(source)

    _, once = timed(copy)
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


def measure(folder: Path, method: str) -> dict[str, float]:
    """Merge several candidates into one model in memory; return what they took."""
    before = psutil.Process().memory_info().rss
    peak = Peak()
    pool = open_models(folder)
    tensors = pool.tensors(pool.reference.name)
    out = {name: torch.empty(tensor.shape, dtype=tensor.dtype) for name, tensor in tensors.items()}
    merger = merger_class(method)(pool, **RANGES[method])
    draw = np.random.default_rng(0)

    def candidate(_: int) -> None:
        made = merger.build(merger.recipe(draw.random(merger.space.dim)))
        for name in made.names:
            made.write(name, out[name])

    first, seconds = median(candidate)
    size = sum(tensor.nbytes for tensor in tensors.values())
    taking = len(pool.sources) + merger.needs_base
    over = peak.stop() - before - (taking + 1) * size
    # Bytes that must move: the sources that take part are read, the result is written.
    copy = copy_seconds((taking + 1) * size)
    tenth = changed_group(pool, method)
    return {"first": first, "seconds": seconds, "copy": copy, "over": over, "tenth": tenth}


def changed_group(pool: Pool, method: str) -> float:
    """Return what a genome costs that changes one of ten groups, over one that changes all."""
    from evoforge.evaluator._live import LiveModel

    block = math.ceil(pool.reference.num_layers / 8)
    merger = merger_class(method)(pool, granularity="block", block_size=block, **RANGES[method])
    live = LiveModel(pool, device="cpu", attention="sdpa")
    genome = merger.space.init
    mine = [i for i, name in enumerate(merger.space.names) if name.startswith("layers0-")]

    def one(i: int) -> None:
        changed = genome.copy()
        changed[mine] = 0.1 + 0.05 * i
        live.write(merger.build(merger.recipe(changed)))

    def every(i: int) -> None:
        live.write(merger.build(merger.recipe(np.full(len(genome), 0.1 + 0.05 * i))))

    return median(one)[1] / median(every)[1]


# Run by an interpreter that has mergekit: the same merges by its in-process interface.
MERGEKIT = """
import json, statistics, sys, time
import torch
from safetensors.torch import load_file
from mergekit.merge_methods.api import merge_state_dicts
folder, method = sys.argv[1:]
names = ["a", "b", "c"] if method == "linear" else ["base", "a", "b", "c"]
names = ["a", "b"] if method == "slerp" else names
models = {name: load_file(f"{folder}/{name}/model.safetensors") for name in names}
values = {"weight": 0.4, "density": 0.5, "gamma": 0.01, "epsilon": 0.15, "t": 0.4}
known = {
    "linear": ["weight"], "slerp": ["t"], "task_arithmetic": ["weight"],
    "ties": ["weight", "density"], "dare_linear": ["weight", "density"],
    "dare_ties": ["weight", "density"], "breadcrumbs": ["weight", "density", "gamma"],
    "della": ["weight", "density", "epsilon"],
}[method]
parameters = {name: values[name] for name in known}
base = "base" if "base" in names else ("a" if method == "slerp" else None)
times = []
with torch.no_grad():
    for _ in range(3):
        start = time.perf_counter()
        merge_state_dicts(models, method, parameters=parameters, base=base)
        times.append(time.perf_counter() - start)
print(json.dumps(statistics.median(times[1:])))
"""


def by_mergekit(python: str, folder: Path, method: str) -> float | None:
    """Return the seconds that mergekit takes, or None if it cannot be asked."""
    call = [python, "-c", MERGEKIT, str(folder), method]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1])
        return None
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--methods", default=",".join(RANGES))
    parser.add_argument("--mergekit", help="a Python interpreter that has mergekit 0.1.5")
    parser.add_argument("--folder", type=Path, help="where the models are, or are made and kept")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(Path(given.one[0]), given.one[1])))
        return
    with tempfile.TemporaryDirectory(prefix="evoforge-benchmark-") as made:
        for size in given.sizes.split(","):
            folder = (given.folder or Path(made)) / size
            if not folder.is_dir():
                make(folder, size)
            _table(size, folder, given.methods.split(","), given.mergekit)


def _table(size: str, folder: Path, methods: list[str], mergekit: str | None) -> None:
    threads = torch.get_num_threads()
    print(f"\n{size}, base and three sources, bfloat16, {threads} threads")
    print(
        "seconds of a merge; of copying its bytes; the ratio, and what is wanted; MB above sources"
    )
    print("and result; a genome that changes one of ten groups; mergekit, and its ratio; the first")
    for method in methods:
        # Each in a process of its own, so that memory is this method's alone.
        call = [sys.executable, __file__, "--one", str(folder), method]
        done = subprocess.run(call, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        ratio, wanted = found["seconds"] / found["copy"], WANTED.get(method, OTHERS_WANTED)
        line = (
            f"{method:16s} {found['seconds']:7.3f} {found['copy']:7.3f} x{ratio:5.2f} (<= {wanted})"
        )
        line += f" {found['over'] / 1e6:+6.0f} MB  tenth {found['tenth']:.3f}"
        theirs = None if mergekit is None else by_mergekit(mergekit, folder, method)
        line += (
            "" if theirs is None else f"  mergekit {theirs:6.2f} x{theirs / found['seconds']:.0f}"
        )
        print(f"{line}  first {found['first']:.1f} s", flush=True)


if __name__ == "__main__":
    main()
