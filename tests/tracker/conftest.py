"""A small run in a journal, and a reader of W&B's offline files."""

import json
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evoforge.journal import Journal
from evoforge.origin import Descent
from evoforge.recipe import Recipe, canonical
from evoforge.record import Evaluation, ItemResult, item_set_hash

NAMES = ["all.ja.weight", "all.ja.density", "all.math.weight"]
ITEMS = ["item-0", "item-1"]
POPULATION = 4
CONFIG = {
    "seed": 7,
    "merge": {"_target_": "evoforge.merge.ties.Ties", "density": 0.5},
    "optimizer": {"_target_": "evoforge.optimizer.cma_es.CmaEs"},
    "task": {"name": "toy_ja", "max_new_tokens": 24},
    "models": {"hf_token": "hf_abcdefghijklmnopqrstuvwx", "revision": "a" * 40},
}
RESULT: dict[str, Any] = {
    "winner": {"recipe": "", "test": {"score": 0.75, "low": 0.6, "high": 0.9}},
    "baselines": {"ja": {"test": {"score": 0.5, "low": 0.3, "high": 0.7}}},
}


@dataclass
class Run:
    """Writes a run into a journal piece by piece, as the search does.

    With `walks` the candidates are paths: the first layer of `math`, then those of `ja` whose
    genes are above one half.
    """

    journal: Journal
    dim: int = len(NAMES)
    walks: bool = False
    now: str = "ps"
    made: list[int] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        if self.walks:
            return [f"pass0_layer{i}.ja.in" for i in range(self.dim)]
        return NAMES if self.dim == len(NAMES) else [f"layer_{i}.weight" for i in range(self.dim)]

    def stage(self, name: str = "ps", **facts: Any) -> None:
        self.now = name
        info = {
            "names": self.names,
            "low": [0.0] * self.dim,
            "high": [1.0] * self.dim,
            "population": POPULATION,
            "evaluations": 3 * POPULATION,
            "minutes": None,
            "merge": "ties",
            "optimizer": "cma_es",
            "metric": "accuracy",
            "direction": "max",
        }
        self.journal.add_stage(name, info | facts)

    def role(self, name: str, part: str, score: float, recipe: Recipe | None = None) -> str:
        recipe = recipe or Recipe({"method": "ties", "name": name, "part": part, "values": {}})
        with self.journal.transaction():
            self.journal.add_recipe(recipe)
            number = self.journal.add_evaluation(self._evaluation(recipe, score))
            self.journal.add_role(name, part, recipe.hash, number)
        return recipe.hash

    def answer(self, name: str, part: str, answers: Mapping[str, tuple[str, float, float]]) -> None:
        """Give a named recipe answers: item -> text, score, and whether it is in the language."""
        recipe = Recipe({"method": "ties", "name": name, "of": part, "values": {}})
        results = [
            ItemResult(item, score, {"accuracy": score, "lang": lang}, text, len(text))
            for item, (text, score, lang) in answers.items()
        ]
        found = replace(
            self._evaluation(recipe, 0.5), item_set=item_set_hash([*answers]), results=(*results,)
        )
        with self.journal.transaction():
            self.journal.add_recipe(recipe)
            self.journal.add_items(part, [*answers])
            number = self.journal.add_evaluation(found)
            self.journal.add_role(name, part, recipe.hash, number)

    def generation(
        self, generation: int, tell: bool = True, origins: Sequence[Descent] = ()
    ) -> None:
        """Four candidates: the second of generation 1 fails, the last is always a cache hit."""
        rng = np.random.default_rng(generation)
        genomes = rng.random((POPULATION, self.dim))
        recipes = [self._recipe(genome) for genome in genomes[:-1]]
        recipes.append(recipes[0])
        asked = list(zip(genomes, recipes, strict=True))
        self.journal.add_generation(self.now, generation, asked, ITEMS, origins=origins)
        for position, recipe in enumerate(recipes):
            failed = (generation, position) == (1, 1)
            score = None if failed else 0.1 * generation + 0.01 * position
            hit = position == POPULATION - 1
            with self.journal.transaction():
                number = (
                    self.made[-position]
                    if hit
                    else self.journal.add_evaluation(self._evaluation(recipe, score))
                )
                self.made.append(number)
                self.journal.assign(self.now, generation, position, number)
        if tell:
            self.journal.tell(self.now, generation, rng.random(POPULATION))

    def race(self, generation: int, scores: Sequence[tuple[float, int]], proxies: int = 0) -> None:
        """Candidates of given scores on given numbers of items; the first few by a proxy alone."""
        genomes = np.random.default_rng(generation).random((len(scores), self.dim))
        recipes = [self._recipe(genome) for genome in genomes]
        asked = list(zip(genomes, recipes, strict=True))
        self.journal.add_generation(self.now, generation, asked, ITEMS)
        for position, (score, count) in enumerate(scores):
            ids = [f"item-{i}" for i in range(count)]
            found = replace(
                self._evaluation(recipes[position], score),
                item_set=item_set_hash(ids),
                proxy=position < proxies,
            )
            with self.journal.transaction():
                self.journal.add_items("search", ids)
                number = self.journal.add_evaluation(found)
                self.journal.assign(self.now, generation, position, number)
        self.journal.tell(self.now, generation, np.zeros(len(scores)))

    def finish(self) -> dict[str, Any]:
        self.role("finalist:ps:1", "select", 0.7)
        winner = self.role("winner", "test", 0.75)
        self.role("baseline:ja", "test", 0.5)
        self.journal.finish()
        return {**RESULT, "winner": {**RESULT["winner"], "recipe": winner}}

    def _recipe(self, genome: np.ndarray) -> Recipe:
        if self.walks:
            path = [
                ["math", 0, 1.0],
                *(["ja", i, 0.9] for i in np.flatnonzero(genome > 0.5).tolist()),
            ]
            sources = [{"name": "math", "hash": "m"}, {"name": "ja", "hash": "j"}]
            return Recipe({"method": "dfs", "sources": sources, "path": path})
        values = {"all": {"ja": {"weight": float(genome[0]), "density": float(genome[1])}}}
        return Recipe({"method": "ties", "options": {"in": self.now}, "values": values})

    @staticmethod
    def _evaluation(recipe: Recipe, score: float | None) -> Evaluation:
        same = {"recipe": recipe.hash, "protocol": "p", "item_set": item_set_hash(ITEMS)}
        if score is None:
            return Evaluation(
                **same, status="failed", fitness=float("-inf"), reason="NaN in the weights"
            )
        return Evaluation(
            **same,
            status="ok",
            fitness=score,
            score=score,
            metrics={"accuracy": score, "japanese": 1.0},
            seconds={"merge": 0.25, "generate": 0.5},
        )


@pytest.fixture
def new_run(tmp_path: Path) -> Iterator[Run]:
    """A run that has just been made."""
    meta = {"config": canonical(CONFIG), "seed": "7"}
    journal = Journal.create(tmp_path / "run", meta)
    journal.start_session(0.0, 0.1)
    yield Run(journal)
    journal.close()


@pytest.fixture
def make_run() -> Iterator[Callable[[Path], Run]]:
    """Makes further runs in folders of their own."""
    with ExitStack() as stack:

        def make(folder: Path) -> Run:
            journal = Journal.create(folder, {"config": '{"seed": 8}'})
            stack.callback(journal.close)
            return Run(journal)

        yield make


@pytest.fixture
def whole_run(new_run: Run) -> tuple[Run, dict[str, Any]]:
    """A run with a baseline, three generations, a failure, cache hits and a winner."""
    new_run.role("baseline:ja", "search", 0.4)
    new_run.stage()
    for generation in range(3):
        new_run.generation(generation)
    return new_run, new_run.finish()


@dataclass
class Mirror:
    """What one offline W&B file holds."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)
    artifacts: list[Any] = field(default_factory=list)
    run: Any = None
    exit_code: int | None = None

    @property
    def candidates(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if "candidate/index" in row]

    @property
    def generations(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if "generation/index" in row]


@pytest.fixture(name="read_mirror")
def read_mirror_fixture() -> Callable[[Path], Mirror]:
    return read_mirror


def read_mirror(folder: Path) -> Mirror:
    """Read the newest offline W&B run of a run folder, up to its end.

    W&B writes the last of it a bit later; of a killed process it never comes.
    """
    deadline = time.monotonic() + 2
    file = max(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda f: f.stat().st_mtime_ns)
    while (mirror := _mirror(file)).exit_code is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return mirror


def _mirror(file: Path) -> Mirror:
    from wandb.proto.wandb_internal_pb2 import Record

    mirror = Mirror()
    for payload in _payloads(file.read_bytes()):
        record = Record.FromString(payload)
        kind = record.WhichOneof("record_type")
        if kind == "history":
            mirror.rows.append(_items(record.history.item))
        elif kind == "config":
            mirror.config |= _items(record.config.update)
        elif kind == "summary":
            mirror.summary |= _items(record.summary.update)
        elif kind == "run":
            mirror.run = record.run
            mirror.config |= _items(record.run.config.update)
        elif kind == "metric":
            metric = record.metric
            mirror.axes[metric.name or metric.glob_name] = metric.step_metric
        elif kind == "artifact":
            mirror.artifacts.append(record.artifact)
        elif kind == "exit":
            mirror.exit_code = record.exit.exit_code
    return mirror


def _items(items: Any) -> dict[str, Any]:
    return {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items}


def _payloads(data: bytes) -> Iterator[bytes]:
    """Yield the records of a LevelDB log: blocks of 32 KiB, each record in one or more pieces."""
    at, parts = 7, b""  # after the file's own header
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:  # padding: no header fits
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        piece = data[at + 7 : at + 7 + length]
        if kind == 0 or len(piece) < length:  # not written yet
            return
        at += 7 + length
        parts = piece if kind in (1, 2) else parts + piece  # full or first; middle or last
        if kind in (1, 4):
            yield parts
