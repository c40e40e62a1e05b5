"""What a candidate of the bundled models costs: merging, memory, start-up.

    python benchmarks/bundled.py

Every time stands beside a reference measured in the same run: the time this machine needs to copy
the bytes that a merge reads and writes. Measure with nothing else running.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch
import transformers

ROOT = Path(__file__).parents[1]
# What every user of these libraries pays before evoforge does anything: transformers imports the
# code of a model only when it is named.
transformers.MistralForCausalLM  # noqa: B018
INTERPRETER = psutil.Process().memory_info().rss

METHODS = {
    "linear": {"weight": {"low": 0, "high": 1}},
    "slerp": {"t": {"low": 0, "high": 1}},
    "task_arithmetic": {"weight": {"low": 0, "high": 1}},
    "ties": {"weight": {"low": 0, "high": 1}, "density": {"low": 0.05, "high": 1}},
    "dare_linear": {"weight": {"low": 0, "high": 1}, "density": {"low": 0.05, "high": 1}},
    "dare_ties": {"weight": {"low": 0, "high": 1}, "density": {"low": 0.05, "high": 1}},
}
CANDIDATES = 40


def median_ms(work: Callable[[int], None], count: int) -> float:
    """Return the median of several runs after a first one, in milliseconds."""
    work(0)
    times = []
    for i in range(1, count):
        start = time.perf_counter()
        work(i)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def merging() -> None:
    """Print the time to merge a candidate into a live model, for each method."""
    from evoforge.evaluator._live import LiveModel
    from evoforge.merge.base import merger_class
    from evoforge.models.pool import open_pool

    roles = {"base": "base", "ja": "source", "math_a": "source", "math_b": "source"}
    pool = open_pool(
        sources={name: {"path": f"bundled:{name}", "role": role} for name, role in roles.items()}
    )
    live = LiveModel(pool, device="cpu", attention="sdpa")
    size = sum(t.nbytes for t in pool.reference.tensors.values())
    source, target = torch.randn(len(roles) + 1, size // 4), torch.empty(len(roles) + 1, size // 4)
    copy = median_ms(lambda _: target.copy_(source), CANDIDATES)
    print(f"copying the bytes of four models read and one written takes {copy:.1f} ms")
    print(f"{'method':16} {'ms':>6} {'x copy':>8}")
    for method, ranges in METHODS.items():
        merger = merger_class(method)(pool, **ranges)
        draws = np.random.default_rng(0).random((CANDIDATES, merger.space.dim))
        made = [merger.build(merger.recipe(genome)) for genome in draws]
        took = median_ms(lambda i, made=made: live.write(made[i]), CANDIDATES)
        print(f"{method:16} {took:6.1f} {took / copy:8.1f}")


def memory() -> None:
    """Print the peak memory of a short run over what importing the libraries takes."""
    code = (
        "import resource, sys; import run; "
        "run.main(); "
        "print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    )
    options = ["budget.evaluations=27", "hydra.run.dir=/tmp/evoforge-benchmark-${now:%H%M%S}"]
    command = [sys.executable, "-c", code, *options]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    peak = int(found.stdout.rpartition("PEAK")[2])
    zoo = sum(p.stat().st_size for p in (ROOT / "evoforge/zoo").glob("*/model.safetensors"))
    allowed = INTERPRETER + zoo * 5 / 4 + 300e6
    print(
        f"peak memory of a run {peak / 1e6:.0f} MB; interpreter with libraries "
        f"{INTERPRETER / 1e6:.0f} MB + sources and one model {zoo * 5 / 4e6:.0f} MB + 300 MB = "
        f"{allowed / 1e6:.0f} MB: ratio {peak / allowed:.2f}"
    )


def start_up() -> None:
    """Print the time that `--help` takes, over that of an interpreter that does nothing."""

    def seconds(*command: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, check=True)
        return time.perf_counter() - start

    bare = min(seconds("-c", "pass") for _ in range(3))
    shown = min(seconds("run.py", "--help") for _ in range(3))
    print(f"run.py --help {shown:.2f} s, a bare interpreter {bare:.2f} s: x {shown / bare:.0f}")


if __name__ == "__main__":
    merging()
    start_up()
    memory()
