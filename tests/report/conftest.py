"""Small runs, written through the real journal."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evoforge.journal import Journal
from evoforge.recipe import Recipe, canonical
from evoforge.record import Evaluation, ItemResult, Record, item_set_hash

SOURCES = ("ja", "math_a", "math_b")
PARTS = ("search", "select", "test")
LAYERS = {"math_a": 4, "ja": 4}
# How good each baseline is; the winner's is found by the search.
SKILL = {"ja": 0.22, "math_a": 0.08, "math_b": 0.12, "uniform_soup": 0.2, "start_point": 0.26}


def recipe_of(values: Mapping[str, Any], method: str = "ties", name: str = "") -> Recipe:
    """A recipe as the mergers write it."""
    return Recipe(
        {
            "format": 1,
            "method": method,
            "options": {"note": name} if name else {},
            "base": {"name": "base", "hash": "b" * 32},
            "sources": [{"name": source, "hash": source[0] * 32} for source in SOURCES],
            "values": values,
            "dtype": "bfloat16",
        }
    )


def results_of(
    part: str, skill: float, size: int, rng: np.random.Generator, *, graded: bool = False
) -> tuple[ItemResult, ...]:
    """Per-item results of a model that solves a share of the items."""
    right = rng.random(size) < skill + 0.05
    native = rng.random(size) < 0.95
    scores = rng.random(size) * skill if graded else (right & native).astype(float)
    return tuple(
        ItemResult(
            item=f"{part}-{i}",
            score=float(scores[i]),
            metrics={"acc_ja": float(scores[i]), "acc": float(right[i]), "ja": float(native[i])},
            completion="答え: 4",
            tokens=5,
        )
        for i in range(size)
    )


def evaluation_of(recipe: Recipe, results: Sequence[ItemResult], reason: str = "") -> Evaluation:
    """An evaluation of these results, or a failure if there is a reason."""
    items = item_set_hash([result.item for result in results])
    if reason:
        return Evaluation(recipe.hash, "p", items, "failed", -math.inf, reason)
    score = sum(result.score for result in results) / len(results)
    names = results[0].metrics
    means = {n: sum(r.metrics[n] for r in results) / len(results) for n in names}
    seconds = {"merge": 0.05, "generate": 0.4, "score": 0.01}
    return Evaluation(
        recipe.hash, "p", items, "ok", score, "", score, means, seconds, tuple(results)
    )


def scale_names(scale: str, slots: Sequence[str], layers: Mapping[str, int]) -> list[str]:
    """The names of a path's scales, as the merger writes them."""
    every = [(source, i) for source, count in layers.items() for i in range(count)]
    if scale == "hop":
        return [f"{slot}.scale" for slot in slots] + [f"end.{every[0][0]}.scale"]
    if scale == "pair":
        return [f"{a}_layer{i}.{b}.to_layer{j}" for a, i in every for b, j in every]
    if scale == "low_rank":
        return [f"layer{i}.{s}.{kind}" for s, i in every for kind in ("u0", "u1", "v0", "v1")]
    return [f"network..w{n}" for n in range(41)] if scale == "network" else []


def path_recipe(
    names: Sequence[str],
    genome: np.ndarray,
    layers: Mapping[str, int],
    inner: Recipe | None = None,
) -> Recipe:
    """A path of the slots that are in, between the first source's first and last layer."""
    gene = {name: round(0.5 + float(x), 6) for name, x in zip(names, genome, strict=True)}
    first, count = next(iter(layers.items()))
    path: list[list[Any]] = [[first, 0, 1.0]]
    for name in names:
        slot, _, parameter = name.rpartition(".")
        place, _, source = slot.partition(".")
        layer = int(place.rpartition("layer")[2]) if parameter == "in" else 0
        if parameter == "in" and gene[name] > 1 and slot != f"pass0_layer0.{first}":
            pair = f"{path[-1][0]}_layer{path[-1][1]}.{source}.to_layer{layer}"
            path.append([source, layer, gene.get(f"{slot}.scale", gene.get(pair, 1.0))])
    if path[-1][:2] != [first, count - 1]:
        path.append([first, count - 1, gene.get(f"end.{first}.scale", 1.0)])
    sources: list[dict[str, Any]] = [{"name": name, "hash": name[0] * 32} for name in layers]
    if inner is not None:
        sources[0] |= {"hash": inner.hash, "recipe": inner.content}
    return Recipe(
        {
            "format": 1,
            "method": "dfs",
            "options": {"scale_target": "stream"},
            "base": None,
            "sources": sources,
            "path": path,
            "dtype": "bfloat16",
        }
    )


class Run:
    """Writes a run into a folder; every part of it can be left out."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 1,
        config: Mapping[str, Any] | None = None,
        protocol: Mapping[str, Any] | None = None,
    ):
        self.rng = np.random.default_rng(seed)
        self.size = 40
        sources = [
            {
                "name": name,
                "path": f"acme/{name}",
                "revision": "f" * 40,
                "license": "apache-2.0",
                "role": "base" if name == "base" else "source",
                "hash": name[0] * 32,
            }
            for name in ("base", *SOURCES)
        ]
        meta = {
            "config": canonical(config or {"seed": seed}),
            "seed": str(seed),
            "versions": canonical({"evoforge": "0.1.0", "python": "3.11.9"}),
            "sources": canonical(sources),
            "protocol": canonical(
                {"task": "mgsm_ja", "hash": "c" * 32, "metric": "acc_ja", **(protocol or {})}
            ),
        }
        self.journal = Journal.create(folder, meta)
        # Nobody pulls the plug on a test; waiting for the disk is most of the time.
        self.journal._connection.execute("PRAGMA synchronous=OFF")
        self.journal.start_session(0.0, 1.5)

    def judge(self, name: str, recipe: Recipe, skill: float, *, reason: str = "") -> None:
        """Score a named recipe on all three parts."""
        for part in PARTS:
            evaluation = evaluation_of(recipe, results_of(part, skill, self.size, self.rng), reason)
            found = self.journal.record.find(recipe.hash, "p", evaluation.item_set)
            with self.journal.transaction():
                self.journal.add_items(part, [result.item for result in evaluation.results])
                number = found or self.journal.add_evaluation(evaluation)
                self.journal.add_role(name, part, recipe.hash, number)

    def baselines(self, **reasons: str) -> None:
        """Score the baselines."""
        for name, skill in SKILL.items():
            recipe = recipe_of({}, name=name)
            self.judge(f"baseline:{name}", recipe, skill, reason=reasons.get(name, ""))

    def search(
        self,
        *,
        groups: Sequence[str] = ("all",),
        parameters: Sequence[str] = ("weight", "density"),
        sources: Sequence[str] = SOURCES,
        generations: int = 5,
        population: int = 4,
        failures: float = 0.0,
        level: float | None = None,
        stage: str = "ps",
    ) -> Recipe | None:
        """Search; better towards the upper end of every gene. Returns the best recipe."""
        names = [f"{g}.{s}.{p}" for g in groups for s in sources for p in parameters]
        facts = {"names": names, "low": [0.0] * len(names), "high": [1.5] * len(names)}
        facts |= {"population": population, "evaluations": generations * population}
        facts |= {"minutes": None, "merge": "ties", "optimizer": "cma_es"}
        self.journal.add_stage(stage, facts | {"metric": "acc_ja", "direction": "max"})
        best: tuple[float, Recipe | None] = (-math.inf, None)
        centre = np.full(len(names), 0.4)
        for generation in range(generations):
            drawn = self.rng.normal(centre, 0.2, size=(population, len(names)))
            genomes = list(np.clip(drawn, 0, 1))
            asked = [(genome, self._recipe(names, genome)) for genome in genomes]
            fitness = self._generation(stage, generation, asked, failures, level)
            for (_, recipe), value in zip(asked, fitness, strict=True):
                best = max(best, (value, recipe), key=lambda pair: pair[0])
            centre = np.clip(centre + self.rng.normal(0.02, 0.04, len(names)), 0, 1)
        return best[1]

    def paths(
        self,
        *,
        layers: Mapping[str, int] = LAYERS,
        passes: int = 2,
        scale: str = "hop",
        generations: int = 5,
        population: int = 4,
        stage: str = "search",
        inner: Recipe | None = None,
    ) -> Recipe:
        """Search paths; the first source's first pass is in at the start. Returns the best."""
        slots = [
            f"pass{n}_layer{i}.{s}" for n in range(passes) for s in layers for i in range(layers[s])
        ]
        scales = scale_names(scale, slots, layers)
        names = [*(f"{slot}.in" for slot in slots), *scales]
        facts = {"names": names, "kinds": ["binary"] * len(slots) + ["linear"] * len(scales)}
        low, high = {"low_rank": (-1.0, 1.0), "network": (-3.0, 3.0)}.get(scale, (0.5, 1.5))
        facts |= {"low": [0.0] * len(slots) + [low] * len(scales), "layers": dict(layers)}
        facts |= {"high": [1.0] * len(slots) + [high] * len(scales), "population": population}
        facts |= {"evaluations": generations * population, "minutes": None, "merge": "dfs"}
        facts |= {"optimizer": "cma_es", "metric": "acc_ja", "direction": "max"}
        self.journal.add_stage(stage, facts)
        best: tuple[float, Recipe | None] = (-math.inf, None)
        centre = np.full(len(names), 0.5)
        centre[: next(iter(layers.values()))] = 5 / 6
        goal = self.rng.random(len(names))
        for generation in range(generations):
            drawn = self.rng.normal(centre, 1 / 6, size=(population, len(names)))
            genomes = list(np.clip(drawn, 0, 1))
            asked = [(genome, path_recipe(names, genome, layers, inner)) for genome in genomes]
            fitness = self._generation(stage, generation, asked, 0.0, None)
            for (_, recipe), value in zip(asked, fitness, strict=True):
                best = max(best, (value, recipe), key=lambda pair: pair[0])
            centre += (goal - centre) / (1 + generations)
        assert best[1] is not None
        return best[1]

    def _recipe(self, names: Sequence[str], genome: np.ndarray) -> Recipe:
        values: dict[str, Any] = {}
        for name, gene in zip(names, genome, strict=True):
            group, source, parameter = name.split(".")
            numbers = values.setdefault(group, {}).setdefault(source, {})
            numbers[parameter] = round(1.5 * float(gene), 6)
        return recipe_of(values)

    def _generation(self, stage, generation, asked, failures, level) -> np.ndarray:
        items = [f"search-{i}" for i in range(self.size)]
        self.journal.add_generation(stage, generation, asked, items)
        fitness = []
        for position, (genome, recipe) in enumerate(asked):
            skill = level if level is not None else 0.15 + 0.5 * float(genome.mean()) ** 1.5
            reason = "out of memory" if self.rng.random() < failures else ""
            results = results_of("search", skill, self.size, self.rng)
            if level is not None:
                results = tuple(ItemResult(r.item, level, {}, "", 0) for r in results)
            evaluation = evaluation_of(recipe, results, reason)
            number = self.record.find(recipe.hash, "p", evaluation.item_set)
            with self.journal.transaction():
                number = number or self.journal.add_evaluation(evaluation)
                self.journal.assign(stage, generation, position, number)
            fitness.append(self.record.evaluation(number).fitness)
        self.journal.tell(stage, generation, np.array(fitness))
        return np.array(fitness)

    def race(
        self,
        rows: Sequence[tuple[int, int, bool]],
        *,
        stage: str = "search",
        weights: Mapping[int, Sequence[float]] | None = None,
    ) -> list[Recipe]:
        """A stage of one generation; returns the recipes.

        Args:
            rows: for each candidate the items it answered, how many are right, and whether a proxy
                was asked instead.
            stage: the search.
            weights: of the items, by their number; None: all the same.
        """
        facts = {"names": ["all.ja.weight"], "low": [0.0], "high": [1.5], "merge": "ties"}
        facts |= {"population": len(rows), "evaluations": len(rows), "minutes": None}
        facts |= {"optimizer": "cma_es", "metric": "acc_ja", "direction": "max"}
        self.journal.add_stage(stage, facts)
        genomes = [np.array([(i + 1) / (len(rows) + 1)]) for i in range(len(rows))]
        recipes = [self._recipe(facts["names"], genome) for genome in genomes]
        most = max(count for count, _, _ in rows)
        items = [f"search-{i}" for i in range(most)]
        self.journal.add_generation(
            stage, 0, list(zip(genomes, recipes, strict=True)), items, (weights or {}).get(most)
        )
        for position, (count, right, proxy) in enumerate(rows):
            results = [
                ItemResult(f"search-{i}", float(i < right), {"acc_ja": float(i < right)}, "4", 1)
                for i in range(count)
            ]
            found = evaluation_of(recipes[position], results)
            found = replace(found, proxy=proxy, protocol="proxy" if proxy else "p")
            with self.journal.transaction():
                ids = [result.item for result in results]
                self.journal.add_items("search", ids, (weights or {}).get(count))
                number = self.journal.add_evaluation(found)
                self.journal.assign(stage, 0, position, number)
        self.journal.tell(stage, 0, np.zeros(len(rows)))
        return recipes

    def test(
        self,
        name: str,
        recipe: Recipe,
        scores: Sequence[float],
        *,
        part: str = "test",
        weights: Sequence[float] | None = None,
        reasons: Sequence[str] | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Score a named recipe on a part, item by item."""
        ends = reasons or [""] * len(scores)
        results = [
            ItemResult(f"{part}-{i}", s, {"acc_ja": s}, "4", 1, end)
            for i, (s, end) in enumerate(zip(scores, ends, strict=True))
        ]
        found = evaluation_of(recipe, results)
        score = sum(w * s for w, s in zip(weights, scores, strict=True)) if weights else found.score
        found = replace(found, score=score, fitness=score, metrics=metrics or found.metrics)
        with self.journal.transaction():
            self.journal.add_recipe(recipe)
            self.journal.add_items(part, [r.item for r in results], weights)
            number = self.record.find(recipe.hash, "p", found.item_set)
            number = number or self.journal.add_evaluation(found)
            self.journal.add_role(name, part, recipe.hash, number)

    def win(self, recipe: Recipe, skill: float = 0.6) -> None:
        """Name the winner."""
        self.judge("winner", recipe, skill)

    @property
    def record(self) -> Record:
        """What was written."""
        return self.journal.record


@pytest.fixture
def new_run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start runs in folders below tmp_path; all are closed at the end."""
    runs: list[Run] = []

    def start(folder: str = "run", **options: Any) -> Run:
        runs.append(Run(tmp_path / folder, **options))
        return runs[-1]

    yield start
    for run in runs:
        run.journal.close()


@pytest.fixture
def complete(new_run: Callable[..., Run]) -> Run:
    """A small finished run with baselines, failures and a winner."""
    run = new_run()
    run.baselines()
    best = run.search(failures=0.15)
    assert best is not None
    run.win(best)
    run.journal.finish()
    return run


@pytest.fixture
def walked(new_run: Callable[..., Run]) -> Run:
    """A small finished run of two stages: a merge, then a path through it and another model."""
    run = new_run()
    run.baselines()
    inner = run.search(stage="ps", generations=2)
    assert inner is not None
    run.judge("finalist:ps:1", inner, 0.5)
    best = run.paths(stage="dfs", layers={"merged": 4, "ja": 4}, inner=inner)
    run.judge("finalist:dfs:1", best, 0.5)
    run.win(best)
    run.journal.finish()
    return run


@pytest.fixture
def content() -> Callable[[Path], Any]:
    """Read a JSON file."""
    return lambda path: json.loads(path.read_text("utf-8"))
