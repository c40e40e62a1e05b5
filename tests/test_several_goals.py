"""Searches for several goals, end to end: pico models, two tasks that pull apart."""

import json
import sqlite3
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest

from evoforge.evolve import Evolution
from evoforge.executor.local import Local
from evoforge.fitness.full import Full
from evoforge.fitness.subset import Subset
from evoforge.merge.base import Mergers
from evoforge.optimizer.cycle_qd import CycleQd
from evoforge.optimizer.m2n2 import M2n2
from evoforge.optimizer.map_elites import MapElites
from evoforge.optimizer.nsga2 import Nsga2
from evoforge.record import FILE, ItemResult
from evoforge.report.archive_plot import archives
from evoforge.report.archive_plot import draw as draw_archive
from evoforge.report.front import front
from evoforge.report.front_plot import draw as draw_front
from evoforge.report.result import build, instead
from evoforge.task.generation import Generation
from evoforge.task.suite import Suite
from tests.loop import Closeness, Search, Sums, content

UP = "model.layers.1.mlp.up_proj.weight"
GOALS = {"near_a": "a", "near_b": "b"}
OPTIMIZERS = {
    "nsga2": Nsga2,
    "map_elites": MapElites,
    "cycle_qd": CycleQd,
    "m2n2": partial(M2n2, archive=4),
}


class Shifted(Sums):
    """Sums whose questions are not those of the other task."""

    def rows(self, part):
        return [{**row, "question": f"0+{row['question']}"} for row in super().rows(part)]


class TwoGoals(Closeness):
    """Scores how near a merge is to one source on one task, and to another on the other."""

    def __init__(self, task, pool):
        super().__init__(task, pool)
        self.goals = {task: pool.tensors(name)[UP] for task, name in GOALS.items()}

    def answer(self, task, candidate, items, seconds):
        seconds.update(merge=0.0, generate=0.0, score=0.0)
        found = candidate.tensor(UP)
        results = []
        for item in items:
            goal, _, rest = item.id.partition("/")
            distance = float((found - self.goals[goal]).square().mean())
            score = 1 / (1 + 50 * distance * (1 + 0.02 * int(rest.partition("-")[2])))
            metrics = {"score": score, f"{goal}/acc": score}
            tokens = 1 + int(20 * float(found.abs().mean()))
            results.append(ItemResult(item.id, score, metrics, "", tokens))
        return results


class Searching(Search):
    """A search of a suite of two tasks by an optimizer."""

    def __init__(self, folders, folder, make, *, evaluations=24, fitness=None):
        super().__init__(folders, folder, evaluations=evaluations)
        tasks = {
            name: partial(Generation, name=name, items=items(), prompt="{question}")
            for name, items in zip(GOALS, (Sums, Shifted), strict=True)
        }
        self.task = Suite(name="two", tasks=tasks)
        self.evaluator = TwoGoals(self.task, self.pool)
        items = self.task.items("search")
        stage = replace(
            self.stages[0],
            optimizer=make(self.merger.space, population=6, seed=3),
            fitness=Subset(items, size=6, seed=0) if fitness is None else fitness(items),
        )
        self.stages = [stage]

    def run(self, changed=lambda: None):
        mergers = Mergers(self.pool)

        def evaluate(job):
            candidate = mergers.build(job.recipe)
            return self.evaluator.evaluate(candidate, job.items, proxy=job.proxy)

        self.journal.start_session(0.0, 0.0)
        return Evolution(self.journal, self.task, Local(evaluate), changed).run(self.stages, {}, 2)


class Killed(BaseException):
    """The end of a process, which nothing catches."""


def everything(folder):
    """Return all that a journal must hold after whatever interruption."""
    connection = sqlite3.connect(Path(folder) / FILE)
    more = {
        name: connection.execute(f"SELECT * FROM {name} ORDER BY stage, generation").fetchall()
        for name in ("origins", "states")
    }
    connection.close()
    return {**content(folder), **more}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_search_that_was_killed_ends_with_the_same_journal(pico, tmp_path, name):
    whole = Searching(pico, tmp_path / "whole", OPTIMIZERS[name])
    whole.run()
    whole.journal.close()
    for commits in (8, 23):
        part = Searching(pico, tmp_path / "part", OPTIMIZERS[name])
        left = iter(range(commits))

        def count(left=left):
            if next(left, None) is None:
                raise Killed

        with pytest.raises(Killed):
            part.run(count)
        part.journal.close()
    last = Searching(pico, tmp_path / "part", OPTIMIZERS[name])
    last.run()
    last.journal.close()
    assert everything(tmp_path / "part") == everything(tmp_path / "whole")


@pytest.fixture(scope="module")
def searched(pico, tmp_path_factory):
    """Return what does a search once, and gives its record to read: `searched(Nsga2)`."""
    folder, done = tmp_path_factory.mktemp("searched"), []

    @cache
    def make(optimizer, **options):
        done.append(Searching(pico, folder / f"run{len(done)}", optimizer, **options))
        done[-1].run()
        return done[-1].record

    yield make
    for search in done:
        search.journal.close()


def test_everybody_is_told_of_with_parents_that_were_asked_before(searched):
    for optimizer in OPTIMIZERS.values():
        record = searched(optimizer)
        origins = record.origins("search")
        assert set(origins) == {(g, p) for g in range(4) for p in range(6)}
        assert any(len(descent.parents) == 2 for descent in origins.values())
        for (generation, _), descent in origins.items():
            assert all(parent[0] < generation for parent in descent.parents)


def test_while_items_change_the_best_are_asked_again(searched):
    record = searched(Nsga2)
    elites = [d for d in record.origins("search").values() if d.operator == "elite"]
    # One of six in each generation, once two generations had other items than each other.
    assert len(elites) == 2
    for (generation, position), descent in record.origins("search").items():
        if descent.operator == "elite":
            again = record.candidate("search", generation, position)
            before = record.candidate("search", *descent.parents[0])
            assert again.recipe == before.recipe


def test_nobody_is_asked_again_where_everybody_answers_everything(searched):
    for optimizer in OPTIMIZERS.values():
        record = searched(optimizer, fitness=Full)
        assert "elite" not in {d.operator for d in record.origins("search").values()}


def test_the_front_names_its_members_by_what_they_are_best_in(searched):
    record = searched(Nsga2, evaluations=48)
    found = front(record)
    assert found.objectives == {"near_a": "max", "near_b": "max"}
    by_name = {name: member for member in found.members for name in member.names}
    for goal in GOALS:
        best = max(member.values[goal] for member in found.members)
        assert by_name[f"best-{goal}"].values[goal] == best
    assert {"best", "knee", "front-1", "front-2"} <= set(by_name)
    first, second = by_name["front-1"].values, by_name["front-2"].values
    assert first["near_a"] > second["near_a"]
    assert first["near_b"] < second["near_b"]


def test_the_values_of_a_member_are_means_over_the_select_items(searched):
    record = searched(Nsga2)
    number = record.roles()["winner", "select"]
    evaluation = record.evaluation(number, with_items=True)
    own = [r.score for r in evaluation.results if r.item.startswith("near_a/")]
    winner = next(member for member in front(record).members if "best" in member.names)
    assert winner.recipe == evaluation.recipe
    assert winner.values["near_a"] == pytest.approx(sum(own) / 12)


def test_the_result_holds_the_front_and_any_member_in_the_winners_place(searched):
    record = searched(Nsga2, evaluations=48)
    found = build(record)
    assert json.loads(json.dumps(found["front"])) == found["front"]
    member = next(m for m in found["front"]["members"] if "best" not in m["names"])
    other = instead(record, member["recipe"])
    assert other["winner"]["recipe"] == member["recipe"]
    assert other["winner"]["select"]["score"] < found["winner"]["select"]["score"]
    assert other["winner"]["test"] is None
    assert instead(record, found["winner"]["recipe"]) == found


def test_a_run_without_several_goals_has_no_front_and_no_archive(searched):
    record = searched(OPTIMIZERS["m2n2"])
    assert front(record) is None
    assert build(record)["front"] is None
    assert archives(record) is None
    assert draw_front(record) is None
    assert draw_archive(record) is None


def test_archives_are_told_with_who_is_in_them(searched):
    record = searched(CycleQd)
    stage, found = archives(record)
    assert stage == "search"
    pairs = {(a["quality"], a["axes"][0]["name"]) for a in found}
    assert pairs == {("near_a", "near_b"), ("near_b", "near_a")}
    asked = [c for c in record.candidates() if c.stage == stage]
    goal = found[0]["quality"]
    values = [v for state in record.states(stage).values() for v in state["values"][goal]]
    told = {}
    for candidate, value in zip(asked, values, strict=True):
        told.setdefault(candidate.recipe, []).append(value)
    for _, value, number in found[0]["cells"]:
        own = told[asked[number].recipe]
        assert value == pytest.approx(sum(own) / len(own), rel=1e-4)


def test_pictures_of_fronts_and_archives_are_drawn(searched):
    assert draw_front(searched(Nsga2)).stat().st_size > 10_000
    objectives = {"near_a": "max", "near_b": "max", "tokens": "min"}
    assert draw_front(searched(partial(Nsga2, objectives=objectives))).stat().st_size > 10_000
    assert draw_archive(searched(CycleQd)).stat().st_size > 10_000
    assert draw_archive(searched(MapElites)).stat().st_size > 10_000
