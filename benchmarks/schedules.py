"""What steady state gains where evaluations last differently long: 64 simulated workers.

    python benchmarks/schedules.py [--seeds 5] [--times lognormal pareto] [--folder FOLDER]

Runs the loop itself (`Evolution.search` with a journal) on a noisy function of 20 genes. Only the
workers are made up: an executor with a clock of its own, on which every evaluation lasts as long as
a draw from a heavy-tailed distribution says, 60 seconds on average. So nothing waits, and other
work on the machine does not matter. Goes on where it was stopped if a folder is given.

Prints how busy the workers were, and after how long the search had come as far: until the middle of
the last 24 candidates, without noise, was within a quarter of the start's distance.
"""

import argparse
import heapq
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from evoforge.evaluator.base import judged  # noqa: E402
from evoforge.evolve import Evolution  # noqa: E402
from evoforge.executor.base import Executor, Job  # noqa: E402
from evoforge.fitness.full import Full  # noqa: E402
from evoforge.journal import Journal  # noqa: E402
from evoforge.optimizer.cma_es import CmaEs  # noqa: E402
from evoforge.optimizer.differential_evolution import DifferentialEvolution  # noqa: E402
from evoforge.optimizer.genetic import Genetic  # noqa: E402
from evoforge.recipe import Recipe  # noqa: E402
from evoforge.record import Evaluation, ItemResult  # noqa: E402
from evoforge.space import Param, Space  # noqa: E402
from evoforge.stage import Budget, Stage  # noqa: E402
from evoforge.task.generation import Generation  # noqa: E402

GENES, WORKERS, EVALUATIONS, NOISE = 20, 64, 2304, 0.05
START, OPTIMUM = 0.5, 0.3
# How many candidates the middle is taken of, and what it must come to.
WINDOW, NEAR = 24, 0.25 * GENES * (START - OPTIMUM) ** 2
MEAN = 60.0  # seconds
OPTIMIZERS = {"cma_es": CmaEs, "genetic": Genetic, "differential_evolution": DifferentialEvolution}
POPULATIONS = (12, 64, 192)
SCHEDULES = ("generational", "steady_state")
# Each with a mean of 1: of the first the longest of 64 lasts 8 times as long, of the second 10.
TIMES = {
    "lognormal": lambda dice: dice.lognormal(-0.5, 1.0),
    "pareto": lambda dice: (dice.pareto(1.5) + 1) / 3,
}
# As in all our pictures.
COLOURS = {"generational": "#D55E00", "steady_state": "#0072B2"}


class One:
    """A task of one item."""

    def rows(self, part: str) -> list[dict[str, Any]]:
        """Return the item of a part."""
        return [{"id": f"{part}-0", "question": f"how good, for {part}?", "answer_number": 1}]


class Toy:
    """A merger whose recipes are genomes."""

    method = "toy"
    facts: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.space = Space([Param(f"x{i}", 0.0, 1.0, START) for i in range(GENES)])

    def recipe(self, genome: np.ndarray) -> Recipe:
        """Return the genome as a recipe."""
        return Recipe({"genome": genome.tolist()})


class Simulated(Executor):
    """Workers on a clock of their own: jobs are done in the order given, and end as they end."""

    workers = WORKERS

    def __init__(self, task: Generation, times: str, seed: int) -> None:
        super().__init__(self.judge, lambda _: self.judge)
        self._task = task
        self._last = TIMES[times]
        self._durations, self._noise = np.random.default_rng([seed, 0]), np.random.default_rng(seed)
        self._free = [0.0] * WORKERS
        self._under_way: list[tuple[float, int, Job]] = []
        self._given = 0
        self.now = self.busy = 0.0
        self.course: list[tuple[float, float]] = []

    def submit(self, job: Job) -> int:
        """Give a job to the worker that is free first."""
        self._given += 1
        seconds = MEAN * float(self._last(self._durations))
        start = max(self.now, heapq.heappop(self._free))
        heapq.heappush(self._free, start + seconds)
        heapq.heappush(self._under_way, (start + seconds, self._given, job))
        self.busy += seconds
        return self._given

    def finished(self) -> tuple[int, Evaluation]:
        """Move the clock to the next job that is done."""
        if not self._under_way:
            raise LookupError("no job is waiting")
        self.now, number, job = heapq.heappop(self._under_way)
        return number, self.judge(job)

    def judge(self, job: Job) -> Evaluation:
        """Return the evaluation of a genome: its distance from the optimum, with noise."""
        genome = np.array(job.recipe.content["genome"])
        loss = float(((genome - OPTIMUM) ** 2).sum())
        self.course.append((self.now, loss))
        score = -loss + float(self._noise.normal(scale=NOISE))
        results = [ItemResult(item.id, score, {"acc": score}, "", 1) for item in job.items]
        return judged(self._task, job.recipe.hash, job.items, results, {}, proxy=False)

    def forget(self) -> None:
        """Nothing is ever dropped here."""

    def close(self) -> None:
        """Nothing runs."""


def search(optimizer: str, population: int, schedule: str, times: str, seed: int) -> dict[str, Any]:
    """Return what one search came to: `busy`, a share; `hours` in all; `near`, hours or None."""
    task, merger = Generation(name="toy", items=One(), prompt="{question}"), Toy()
    executor = Simulated(task, times, seed)
    stage = Stage(
        "search",
        merger,
        OPTIMIZERS[optimizer](merger.space, population=population, seed=seed),
        Full(task.items("search")),
        Budget(evaluations=EVALUATIONS),
        {},
        steady=schedule == "steady_state",
    )
    memory = Path("/dev/shm")  # the journal waits for the disk at every commit
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        journal = Journal.create(Path(folder) / "run", {"config": "{}"})
        Evolution(journal, task, executor).search(stage)
        journal.close()
    losses = [loss for _, loss in executor.course]
    middles = [median(losses[max(0, i - WINDOW + 1) : i + 1]) for i in range(len(losses))]
    near = next(
        (now for (now, _), m in zip(executor.course, middles, strict=True) if m < NEAR), 0.0
    )
    step = max(1, len(middles) // 200)
    clock = [now / 3600 for now, _ in executor.course]
    return {
        "busy": executor.busy / (WORKERS * max(executor._free)),
        "hours": max(executor._free) / 3600,
        "near": near / 3600 or None,
        "final": middles[-1],
        "course": [[round(clock[i], 4), round(middles[i], 5)] for i in range(0, len(clock), step)],
    }


def keys(seeds: int, distributions: Sequence[str]) -> Iterator[tuple[str, int, str, str, int]]:
    """Yield every search."""
    for times in distributions:
        for optimizer in OPTIMIZERS:
            for population in POPULATIONS:
                for seed in range(seeds):
                    for schedule in SCHEDULES:
                        yield optimizer, population, schedule, times, seed


def results(
    seeds: int, distributions: Sequence[str], kept: Path | None
) -> dict[str, dict[str, Any]]:
    """Return every search's outcome, remembering each in a file."""
    found = json.loads(kept.read_text()) if kept and kept.is_file() else {}
    for key in keys(seeds, distributions):
        name = "|".join(map(str, key))
        if name not in found:
            found[name] = search(*key)
            print(name, {k: v for k, v in found[name].items() if k != "course"}, file=sys.stderr)
            if kept:
                kept.write_text(json.dumps(found))
    return found


def table(found: dict[str, dict[str, Any]], seeds: int, distributions: Sequence[str]) -> None:
    """Print medians over the seeds, of both schedules."""
    print(
        "| times | optimizer | population | busy, generational | steady state "
        "| hours until near, generational | steady state | gain "
        "| loss at the end, generational | steady state |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for times in distributions:
        for optimizer in OPTIMIZERS:
            for population in POPULATIONS:
                busy, near, final = [], [], []
                for schedule in SCHEDULES:
                    own = [
                        found["|".join(map(str, (optimizer, population, schedule, times, seed)))]
                        for seed in range(seeds)
                    ]
                    busy.append(median(run["busy"] for run in own))
                    near.append(median(run["near"] or float("inf") for run in own))
                    final.append(median(run["final"] for run in own))
                hours = " | ".join("never" if np.isinf(x) else f"{x:.2f}" for x in near)
                gain = "" if np.isinf(near).any() else f"{near[0] / near[1]:.1f}x"
                print(
                    f"| {times} | {optimizer} | {population} | {busy[0]:.0%} | {busy[1]:.0%} "
                    f"| {hours} | {gain} | {final[0]:.3f} | {final[1]:.3f} |"
                )


def draw(found: dict[str, dict[str, Any]], seeds: int, path: Path, times: str) -> None:
    """Draw how far the middle candidate was from the best, by the hour: a panel a combination."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(OPTIMIZERS), len(POPULATIONS), sharey=True)
    for row, optimizer in zip(panels, OPTIMIZERS, strict=True):
        for axes, population in zip(row, POPULATIONS, strict=True):
            for schedule in SCHEDULES:
                own = [
                    found["|".join(map(str, (optimizer, population, schedule, times, seed)))]
                    for seed in range(seeds)
                ]
                end = median(run["hours"] for run in own)
                grid = np.linspace(0, end, 120)
                lines = [np.interp(grid, *np.array(run["course"]).T) for run in own]
                axes.plot(grid, np.median(lines, axis=0), color=COLOURS[schedule], lw=1.8)
                axes.fill_between(
                    grid,
                    *np.quantile(lines, [0.1, 0.9], axis=0),
                    color=COLOURS[schedule],
                    alpha=0.15,
                    lw=0,
                )
                busy = median(run["busy"] for run in own)
                label = f"{schedule.replace('_', ' ')}: {busy:.0%} busy"
                height = 0.92 - 0.11 * SCHEDULES.index(schedule)
                axes.text(
                    0.97,
                    height,
                    label,
                    transform=axes.transAxes,
                    ha="right",
                    fontsize=8,
                    color=COLOURS[schedule],
                    weight="bold",
                )
            axes.axhline(NEAR, color="#7B8794", lw=0.8, ls=":")
            axes.set_yscale("log")
            axes.set_xlim(left=0)
            axes.grid(color="#E4E7EB", lw=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_title(f"{optimizer}, population {population}", fontsize=9, loc="left")
            axes.tick_params(labelsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("hours", fontsize=9)
    for axes in panels[:, 0]:
        axes.set_ylabel("loss of the middle candidate", fontsize=9)
    figure.suptitle(
        f"64 workers, {EVALUATIONS:,} evaluations of {MEAN:.0f} s on average ({times}): "
        f"median and 10th to 90th percentile of {seeds} seeds",
        fontsize=10,
        x=0.01,
        ha="left",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    """Run what is missing, print the table, and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--times", nargs="+", choices=TIMES, default=list(TIMES))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
    found = results(given.seeds, given.times, given.folder and given.folder / "schedules.json")
    table(found, given.seeds, given.times)
    if given.picture:
        draw(found, given.seeds, given.picture, given.times[0])


if __name__ == "__main__":
    main()
