"""What a GPU gives: merging and answering, with 1.1B weights.

    python benchmarks/gpu.py                   # on a machine with a CUDA device
    python benchmarks/gpu.py --size 135m --prompts 16 --device cpu      # to try the script itself

The weights are random, a base and three sources in bfloat16; they are made first, in a few minutes
of the processor's time, or lie in --folder already. A merge stands beside moving its bytes within
the device and beside the same merge on the processor, tokens beside plain `generate`, all measured
in the same run. Measure with nothing else running.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.generation import plainly, seconds  # noqa: E402
from benchmarks.merge import RANGES, copy_seconds, make, median, open_models  # noqa: E402
from evoforge.evaluator._decode import Decoder  # noqa: E402
from evoforge.evaluator._live import LiveModel  # noqa: E402
from evoforge.evaluator._tokens import Prompt  # noqa: E402
from evoforge.merge.base import merger_class  # noqa: E402
from evoforge.models.pool import Pool  # noqa: E402

PROMPT_TOKENS, MOST_NEW = 120, 300
CANDIDATES = 5


def wait(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device != "cpu":
        torch.cuda.synchronize()


def timed(work: Callable[[int], None], device: str) -> tuple[float, float]:
    """Return the seconds of a first run, and the median of those after it."""

    def done(i: int) -> None:
        work(i)
        wait(device)

    wait(device)
    return median(done, CANDIDATES)


def merging(pool: Pool, method: str, device: str, *, beside: bool) -> None:
    """Print what a merge takes on the device and, if asked, how far it is from the processor's."""
    merger = merger_class(method)(pool, **RANGES[method])
    live = LiveModel(pool, device=device, attention="sdpa")
    draw = np.random.default_rng(0)
    genomes = [draw.random(merger.space.dim) for _ in range(CANDIDATES + 1)]

    def one(i: int) -> None:
        live.write(merger.build(merger.recipe(genomes[i])))

    first, took = timed(one, device)
    size = sum(tensor.nbytes for tensor in pool.tensors(pool.reference.name).values())
    moved = (len(pool.sources) + merger.needs_base + 1) * size
    copy = copy_seconds(moved, device, partial(timed, device=device))
    line = (
        f"{method:16} {took:7.3f} s  bytes {copy:7.4f} s  x{took / copy:5.1f}  first {first:5.1f}"
    )
    if beside:
        here = LiveModel(pool, device="cpu", attention="sdpa")
        here.write(merger.build(merger.recipe(genomes[0])))  # which may compile
        candidate = merger.build(merger.recipe(genomes[-1]))
        start = time.perf_counter()
        here.write(candidate)
        slow = time.perf_counter() - start
        off = count = 0
        worst = 0.0
        for name in candidate.names:
            wanted = here.tensor(candidate, name).float()
            gap = (live.tensor(candidate, name).cpu().float() - wanted).abs()
            off, count = off + int((gap > 0).sum()), count + gap.numel()
            worst = max(worst, gap.max().item())
        share = off / count
        line += f"  processor {slow:6.2f} s (x{slow / took:.0f})"
        line += f"  other than there {share:.2%}, by {worst:.2g} at most"
    print(line, flush=True)


def answering(pool: Pool, count: int, batch_size: int, device: str) -> None:
    """Print what answers take beside plain `generate`, and the memory that they take."""
    live = LiveModel(pool, device=device, attention="sdpa")
    merger = merger_class("linear")(pool, **RANGES["linear"])
    live.write(merger.build(merger.recipe(merger.space.init)))
    draw = random.Random(0)
    prompts = [
        Prompt(
            tuple(draw.randrange(live.model.config.vocab_size) for _ in range(PROMPT_TOKENS)),
            min(MOST_NEW, max(8, round(draw.lognormvariate(4.4, 0.6)))),
        )
        for _ in range(count)
    ]
    decoder = Decoder(live.model, ends=(), pad=0, batch_size=batch_size)
    decoder.generate(prompts[:2])
    with torch.device(device):
        plainly(live.model, prompts[:2], batch_size)
        theirs, answers = seconds(lambda: plainly(live.model, prompts, batch_size))
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    mine, replies = seconds(lambda: decoder.generate(prompts))
    new = sum(prompt.limit for prompt in prompts)
    same = sum(list(a.tokens) == b for a, b in zip(replies, answers, strict=True))
    peak = 0 if device == "cpu" else torch.cuda.max_memory_allocated()
    print(
        f"answers, batch {batch_size}: {new} new tokens in {mine:.1f} s ({new / mine:.0f} a "
        f"second), plain generate {theirs:.1f} s ({new / theirs:.0f}): x {theirs / mine:.2f}; "
        f"{same} of {count} the same; {peak / 2**30:.2f} GiB at most",
        flush=True,
    )


def main() -> None:
    """Print a line for each method and batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--size", default="1.1b", choices=("135m", "1.1b"))
    parser.add_argument("--methods", default=",".join(RANGES))
    parser.add_argument("--beside", default="linear,ties,dare_ties", help="also on the processor")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--batch-sizes", default="64")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--folder", type=Path, help="where the models are, or are made and kept")
    given = parser.parse_args()
    if given.device != "cpu":
        name = torch.cuda.get_device_name()
        print(f"{name}, PyTorch {torch.__version__}, {torch.get_num_threads()} threads beside it")
    with tempfile.TemporaryDirectory(prefix="evoforge-benchmark-") as made:
        folder = (given.folder or Path(made)) / given.size
        if not folder.is_dir():
            make(folder, given.size)
        pool = open_models(folder)
        for method in filter(None, given.methods.split(",")):
            merging(pool, method, given.device, beside=method in given.beside.split(","))
        for size in filter(None, given.batch_sizes.split(",")):
            answering(pool, given.prompts, int(size), given.device)


if __name__ == "__main__":
    main()
