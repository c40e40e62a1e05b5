"""What it gains to evaluate in workers, and what it costs.

    python benchmarks/executors.py [--candidates 24] [--items 64] [--kinds processes ray] [--memory]

Candidates a minute with one and with two workers, one thread each, on a job that is all evaluation:
candidates of the bundled models, each answering the same search problems; the workers are ready
before the clock starts. Then the milliseconds that handing a job out and its result back take, with
jobs in which nothing is done. `--memory` shows instead what 1, 2 and 4 workers take of it.

Wants a machine where nothing else runs.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import psutil

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from evoforge.executor.base import Executor, Job, Place  # noqa: E402
from evoforge.recipe import Recipe  # noqa: E402
from evoforge.record import Evaluation  # noqa: E402

NOTHING = 2000
WANTED_RATIO, WANTED_MS = 1.8, 20.0


def parts(kind: str, workers: int, *overrides: str):
    """Return the parts of a run over the bundled models."""
    import hydra

    from evoforge import config
    from evoforge.assembly import assemble

    given = [f"executor={kind}", f"executor.workers={workers}", "tracker=[]", *overrides]
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = config.resolved(hydra.compose("config", overrides=given))
    return assemble(cfg)


def search_jobs(found, candidates: int, items: int) -> list[Job]:
    """Return so many candidates of a search, each with the same items."""
    asked = found.task.items("search")[:items]
    stage = found.stages[0]
    genomes = np.random.default_rng(0).random((candidates, stage.optimizer.space.dim))
    return [Job(stage.merger.recipe(genome), asked) for genome in genomes]


def do_nothing(job: Job) -> Evaluation:
    """Say that the job is done."""
    return Evaluation(job.recipe.hash, "", "", "ok", 0.0)


def idle(place: Place):
    """Return `do_nothing` in a worker."""
    del place
    return do_nothing


def per_minute(kind: str, workers: int, candidates: int, items: int) -> float:
    """Return how many candidates are evaluated in a minute."""
    found = parts(kind, workers)
    jobs = search_jobs(found, candidates + workers, items)
    executor: Executor = found.executor
    _warm(executor, jobs[:workers])
    start = time.perf_counter()
    failed = [e.reason for e in executor.run(jobs[workers:]) if e.status == "failed"]
    seconds = time.perf_counter() - start
    executor.close()
    if failed:
        sys.exit(f"{len(failed)} candidates failed, the first with: {failed[0]}")
    return 60 * candidates / seconds


def _warm(executor: Executor, jobs: list[Job]) -> None:
    """Have every worker do one job, so that all are there."""
    executor.start()
    while not all(seat.ready for seat in executor._seats):
        executor._step(0.1)
    list(executor.run(jobs))


def milliseconds(kind: str, workers: int) -> float:
    """Return what giving a job and taking its result costs."""
    from evoforge.executor.processes import Processes
    from evoforge.executor.ray import Ray

    made = {"processes": Processes, "ray": Ray}[kind](do_nothing, idle, workers=workers)
    jobs = [Job(Recipe({"number": number}), ()) for number in range(NOTHING)]
    _warm(made, jobs[:workers])
    start = time.perf_counter()
    assert sum(1 for _ in made.run(jobs)) == NOTHING
    seconds = time.perf_counter() - start
    made.close()
    return 1000 * seconds / NOTHING


def memory(workers: int, models: str) -> tuple[float, float, float]:
    """Return MiB: of this process, of a worker with what it shares, and of one for itself alone."""
    found = parts("processes", workers, f"models={models}")
    jobs = search_jobs(found, workers, 8)
    _warm(found.executor, jobs)
    seats = [psutil.Process(seat.worker.pid) for seat in found.executor._seats]
    full = [process.memory_full_info() for process in seats]
    mine = psutil.Process().memory_full_info().pss
    found.executor.close()
    pss, uss = (sum(getattr(f, what) for f in full) / len(full) for what in ("pss", "uss"))
    return mine / 2**20, pss / 2**20, uss / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=24)
    parser.add_argument("--items", type=int, default=64)
    parser.add_argument("--kinds", nargs="+", default=["processes", "ray"])
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--models", default="bundled")
    options = parser.parse_args()
    if options.memory:
        for workers in (1, 2, 4):
            mine, pss, uss = memory(workers, options.models)
            print(
                f"{workers} workers: {pss:5.0f} MiB each with its part of what is shared, "
                f"{uss:5.0f} of its own; the search {mine:5.0f}",
                flush=True,
            )
        return
    print(f"load before: {os.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores", flush=True)
    for kind in options.kinds:
        one, two = (per_minute(kind, n, options.candidates, options.items) for n in (1, 2))
        print(
            f"{kind}: {one:.1f} candidates a minute with one worker, {two:.1f} with two: "
            f"{two / one:.2f} times (wanted {WANTED_RATIO})",
            flush=True,
        )
        cost = milliseconds(kind, 2)
        print(f"{kind}: {cost:.2f} ms of scheduling a candidate (wanted < {WANTED_MS:g})")


if __name__ == "__main__":
    main()
