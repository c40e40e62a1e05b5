"""A whole search that costs nothing: pico models, judged by their weights alone.

Run as a program it does, or goes on with, one run, and may kill itself on the way.
"""

import os
import random
import signal
import sys
from functools import partial
from pathlib import Path

from safetensors.torch import load_file

from evoforge.baseline import baselines
from evoforge.errors import MergeError
from evoforge.evaluator.base import Evaluator
from evoforge.evolve import Evolution
from evoforge.executor.base import Executor
from evoforge.executor.local import Local
from evoforge.fitness.subset import Subset
from evoforge.journal import Journal
from evoforge.merge.base import Mergers
from evoforge.merge.dfs import Dfs
from evoforge.merge.ties import Ties
from evoforge.merge.ties_dfs import TiesDfs
from evoforge.models.pool import open_pool
from evoforge.optimizer.cma_es import CmaEs
from evoforge.record import FILE, ItemResult
from evoforge.stage import Budget, Stage
from evoforge.task.generation import Generation

SUBSET = partial(Subset, size=4)
WEIGHT = {"low": 0.0, "high": 1.0}


class Sums:
    """Items `a+b`, the same in every process."""

    def rows(self, part):
        offset = {"search": 0, "select": 100, "test": 200}[part]
        return [
            {"id": f"{part}-{i}", "question": f"{i}+{offset}=", "answer_number": i + offset}
            for i in range(12)
        ]


class Closeness(Evaluator):
    """Scores how near one merged tensor is to a source's: smooth, exact, and cheap."""

    def __init__(self, task, pool, *, fail=lambda candidate: False):
        super().__init__(task)
        self.goal = pool.tensors("b")["model.layers.1.mlp.up_proj.weight"]
        self.fail = fail
        self.evaluated = 0

    def answer(self, task, candidate, items, seconds):
        self.evaluated += 1
        seconds.update(merge=0.0, generate=0.0, score=0.0)
        if self.fail(candidate):
            raise MergeError("made to fail")
        found = candidate.tensor("model.layers.1.mlp.up_proj.weight")
        distance = float((found - self.goal).square().mean())
        # Every item sees it a little differently, so that subsets matter.
        return [
            ItemResult(item.id, score, {"acc": score}, "", 1)
            for item in items
            for score in [1 / (1 + distance * (1 + 0.01 * int(item.id.partition("-")[2])))]
        ]

    def logits(self, candidate, items):
        return [candidate.tensor("lm_head.weight") for _ in items]

    def logits_of(self, folder, items):
        return [load_file(folder / "model.safetensors")["lm_head.weight"] for _ in items]


class Made(Executor):
    """Workers whose jobs end in a made-up order, in this process."""

    def __init__(self, evaluate, workers, seed):
        super().__init__(evaluate, lambda place: evaluate)
        self.count, self.order = workers, random.Random(seed)
        self.given, self.most = 0, 0
        self.jobs = {}

    @property
    def workers(self):
        return self.count

    def submit(self, job):
        self.given += 1
        self.jobs[self.given] = job
        self.most = max(self.most, len(self.jobs))
        return self.given

    def finished(self):
        if not self.jobs:
            raise LookupError("no job is waiting")
        number = self.order.choice(sorted(self.jobs))
        return number, self.evaluate(self.jobs.pop(number))

    def forget(self):
        self.jobs.clear()

    def close(self):
        self.forget()


class Search:
    """All parts of a run over pico models."""

    def __init__(
        self,
        folders,
        folder,
        *,
        evaluations=24,
        seed=0,
        fail=lambda c: False,
        fitness=SUBSET,
        steady=False,
        workers=None,
        **merge,
    ):
        specs = {n: {"path": str(p), "role": _role(n)} for n, p in folders.items()}
        self.pool = open_pool(sources=specs)
        self.task = Generation(name="sums", items=Sums(), prompt="{question}")
        self.merger = _merger(self.pool, **merge)
        self.evaluator = Closeness(self.task, self.pool, fail=fail)
        budget = Budget(evaluations=evaluations)
        self.stages = [
            Stage(
                phase.name,
                phase.merger,
                CmaEs(phase.merger.space, population=4, seed=seed),
                fitness(self.task.items("search"), seed=seed),
                budget.part(phase.done, phase.share),
                {"merge": phase.merger.method, "optimizer": "cma_es", "metric": "acc"},
                steady,
            )
            for phase in self.merger.phases
        ]
        self.workers = workers
        exists = Journal.exists(Path(folder))
        journal = Journal.resume(folder) if exists else Journal.create(folder, {"config": "{}"})
        self.journal = journal
        self.record = journal.record

    def evolution(self, changed=lambda: None):
        mergers = Mergers(self.pool)

        def evaluate(job):
            candidate = mergers.build(job.recipe)
            return self.evaluator.evaluate(candidate, job.items, proxy=job.proxy)

        executor = Local(evaluate) if self.workers is None else Made(evaluate, *self.workers)
        self.journal.start_session(0.0, 0.0)
        return Evolution(self.journal, self.task, executor, changed)

    def run(self, changed=lambda: None):
        return self.evolution(changed).run(self.stages, baselines(self.merger), 3)

    @property
    def stage(self):
        return self.stages[0]

    def search_only(self):
        self.evolution().search(self.stage)


def _merger(pool, *, schedule=None, **merge):
    """Return TIES, or with a schedule TIES and then paths through it and `b`."""
    ps = partial(Ties, **{"weight": WEIGHT, **merge})
    if schedule is None:
        return ps(pool)
    dfs = partial(Dfs, sources=["b"], repeats=1)
    return TiesDfs(pool, ps=ps, dfs=dfs, schedule=schedule)


def _role(name):
    return "base" if name == "base" else "source"


def content(folder):
    """Return everything in a journal that must not depend on interruptions or time."""
    import sqlite3

    connection = sqlite3.connect(Path(folder) / FILE)
    queries = {
        "evaluations": "SELECT recipe, item_set, status, reason, score, fitness FROM evaluations"
        " ORDER BY id",
        "items": "SELECT recipe, protocol, items.* FROM items JOIN subjects ON subject = id"
        " ORDER BY subject, item",
        "candidates": "SELECT * FROM candidates ORDER BY stage, generation, position",
        "generations": "SELECT * FROM generations ORDER BY stage, generation",
        "roles": "SELECT * FROM roles ORDER BY rowid",
        "events": "SELECT kind, content FROM events WHERE kind != 'session' ORDER BY seq",
    }
    if connection.execute("PRAGMA table_info(tellings)").fetchone():
        queries["tellings"] = "SELECT * FROM tellings ORDER BY stage, telling"
    found = {name: connection.execute(query).fetchall() for name, query in queries.items()}
    connection.close()
    return found


if __name__ == "__main__":
    _, models, run_folder, commits, *schedule = sys.argv
    folders = {p.name.split("_")[1]: p for p in map(Path, models.split(","))}
    steady = schedule == ["steady_state"]
    merge = None if steady else next(iter(schedule), None)
    search = Search(folders, Path(run_folder), schedule=merge, steady=steady)
    left = int(commits)

    def count() -> None:
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    search.run(count)
    search.journal.close()
