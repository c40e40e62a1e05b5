"""What a generation costs in each optimizer: seconds and memory, by the number of genes.

    python benchmarks/optimizers.py

The largest space is the paper's search over layer paths: 192 layers in or out and 4,096 scales, 128
genomes at a time; the smaller ones hold the same share of binary genes. Every time stands beside a
reference measured in the same run: the time to draw as many normal numbers. Times are the best of
several generations; an optimizer that takes more than ten seconds for one is not asked with more
genes. Measure with nothing else running.
"""

import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from hydra.utils import get_class
from omegaconf import OmegaConf

from evoforge.errors import ConfigError
from evoforge.optimizer.base import Details, Genomes, Optimizer
from evoforge.space import Param, Space

ROOT = Path(__file__).parents[1]
GENES = [6, 100, 500, 1000, 4288]
POPULATION, GENERATIONS = 128, 6
ITEMS = tuple(f"item{number}" for number in range(128))
# A generation that takes so many seconds is enough to know.
TOO_SLOW_S = 10


def space(genes: int) -> Space:
    """Return a space with the paper's share of binary genes."""
    bits = max(1, genes * 192 // 4288)
    binary = [Param(f"layer{i}", 0, 1, 0.5, "binary") for i in range(bits)]
    return Space(binary + [Param(f"scale{i}", 0, 2, 1) for i in range(genes - bits)])


def best_s(work: Callable[[], object]) -> float:
    """Return the time of the fastest of several runs after a first one, in seconds."""
    work()
    times = []
    while len(times) < GENERATIONS and sum(times) < TOO_SLOW_S:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def generation(optimizer: Optimizer) -> Callable[[], None]:
    """Return what asks and tells once; fitness is how near the genes are to 0.3."""

    def step() -> None:
        genomes = optimizer.ask()
        optimizer.tell(genomes, -((genomes - 0.3) ** 2).mean(axis=1), details(genomes))

    return step


def details(genomes: Genomes) -> Details:
    """Return what optimizers of several goals are told: two tasks, and who solves which item."""
    words, sums = genomes[:, 0], 1 - genomes[:, -1]
    values = {"fitness": words + sums, "tokens": 20 + 10 * words, "words": words, "sums": sums}
    solved = (words[:, None] > np.linspace(0, 1, len(ITEMS))).astype(float)
    return Details(values, ("words", "sums"), solved, ITEMS)


def peak_bytes(make: Callable[[], Optimizer]) -> int:
    """Return the most that an optimizer holds in a few generations, numpy's arrays included."""
    tracemalloc.start()
    step = generation(make())
    for _ in range(3):
        step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main() -> None:
    """Print a line for each optimizer and number of genes."""
    print(f"{POPULATION} genomes a generation; x draws: over drawing as many normal numbers")
    print(f"{'optimizer':22} {'genes':>6} {'ask + tell s':>13} {'x draws':>8} {'peak MB':>8}")
    for path in sorted((ROOT / "conf/optimizer").glob("*.yaml")):
        measure(path.stem, get_class(OmegaConf.load(path)._target_))


def measure(name: str, kind: Callable[..., Optimizer]) -> None:
    """Print a line for each number of genes, until one takes too long."""
    draws = np.random.default_rng(0)
    for genes in GENES:
        make = partial(kind, space(genes), population=POPULATION)
        try:
            took = best_s(generation(make()))
        except ConfigError as error:
            print(f"{name:22} {genes:6} {error}")
            continue
        reference = best_s(partial(draws.standard_normal, (POPULATION, genes)))
        line = f"{name:22} {genes:6} {took:13.4f} {took / reference:8.1f}"
        if took > TOO_SLOW_S:
            print(line)
            return
        print(f"{line} {peak_bytes(make) / 1e6:8.1f}", flush=True)


if __name__ == "__main__":
    main()
