"""The loop: baselines, generations, selection, test.

Brings mergers, optimizers, evaluators and the journal together; knows none of their insides.
Everything that was recorded is replayed, not repeated, so going on after a crash and starting
anew are the same code.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evoforge.candidate import Candidate
from evoforge.errors import JournalError, SearchError
from evoforge.executor.base import Executor
from evoforge.finalists import finalists as among_the_best
from evoforge.fitness.base import Course, Deal, Round
from evoforge.journal import Journal
from evoforge.judging import Asked, Judged, Judging
from evoforge.measured import details, rounded
from evoforge.optimizer.base import Genomes
from evoforge.origin import Descent
from evoforge.recipe import Recipe
from evoforge.record import BASELINE, FILE, FINALIST, WINNER, CandidateRecord, Evaluation
from evoforge.showcase import examples as kept
from evoforge.space import Genome
from evoforge.stage import Stage, stage_facts
from evoforge.task.base import PARTS, Item, Part, Task

log = logging.getLogger(__name__)

# Linear algebra rounds differently on another processor; more than this is another search.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Winner:
    """What a run found."""

    recipe: Recipe
    candidate: Candidate


class Evolution:
    """One run from the first baseline to the last test.

    Args:
        journal: the record, new or to be continued.
        task: what candidates are judged on.
        executor: where they are judged.
        changed: called after every commit; trackers follow the journal through it.
        search_items: how many search items baselines and the winner answer, at most.
        examples: how many test items are kept to be shown with the answers to them.
    """

    def __init__(
        self,
        journal: Journal,
        task: Task,
        executor: Executor,
        changed: Callable[[], None] = lambda: None,
        search_items: int = 512,
        examples: int = 12,
    ) -> None:
        self.journal = journal
        self.record = journal.record
        self.task = task
        self.judging = Judging(journal, task, executor)
        # What baselines and the winner are compared on: a search set may have thousands of items.
        self.whole = {p: task.items(p) for p in PARTS}
        self.whole["search"] = self._sample("search", search_items)
        self.examples = examples
        # The generations of the search that goes on whose states were kept before.
        self._kept: set[int] = set()
        self.changed = changed

    def run(
        self, stages: Sequence[Stage], baselines: Mapping[str, Recipe], finalists: int
    ) -> Winner:
        """Score the baselines, search, select among the best, and test once.

        Args:
            stages: the searches, each of which goes on from the winner of the one before it.
            baselines: recipes to score beside the winner, by name.
            finalists: how many of a search's best answer the select items.

        Raises:
            SearchError: more than half of a generation failed, or every finalist.
            JournalError: the record is of another search, or cannot be written.
        """
        for name, recipe in baselines.items():
            self.role(f"{BASELINE}{name}", "search", recipe)
        winner: Recipe | None = None
        for stage in stages:
            if winner is not None:
                stage = replace(stage, merger=stage.merger.over(winner))
            self.search(stage)
            winner = self.select(stage, finalists, also=winner)
        assert winner is not None
        for part in PARTS:
            self.role(WINNER, part, winner)
        for part in PARTS:
            for name, baseline in baselines.items():
                self.role(f"{BASELINE}{name}", part, baseline)
        self.show()
        return Winner(winner, stages[-1].merger.build(winner))

    def role(self, name: str, part: Part, recipe: Recipe) -> Evaluation:
        """Evaluate a recipe on a part of the task under a name, or read it back.

        The select and the test part are used as a whole, of the search part a sample.
        """
        number = self.record.roles().get((name, part))
        if number is None:
            (judged,) = self.judging.evaluate([Asked(recipe, self.whole[part])])
            number = judged.number
            with self.journal.transaction():
                self.journal.add_role(name, part, recipe.hash, number)
            self.changed()
        evaluation = self.record.evaluation(number)
        if evaluation.recipe != recipe.hash:
            raise JournalError(
                f"{self.journal.folder} recorded another {name} than this run has; the sources, "
                "or evoforge itself, have changed since: start a new run"
            )
        if evaluation.status == "failed":
            log.warning("%s failed on the %s items: %s", name, part, evaluation.reason)
        return evaluation

    def show(self) -> None:
        """Keep some test items to be shown, once: chosen by chance, not by the answers to them.

        Of a suite at least one of each task.
        """
        if not self.examples or self.record.examples():
            return
        tasks = len({item.stratum for item in self.task.items("test")})
        self.journal.add_examples(kept(self._sample("test", max(self.examples, tasks))))

    def _sample(self, part: Part, size: int) -> tuple[Item, ...]:
        """Return so many items in the order of the task, evenly of each task of a suite."""
        items = self.task.items(part)
        if len(items) <= size:
            return items
        deal = Deal(items, size, seed=0)
        return deal.in_order(deal.hand(0))

    def search(self, stage: Stage) -> None:
        """Run a stage's generations until its budget is spent, replaying what is recorded."""
        known = self.record.stages().get(stage.name)
        # What a search that is over was given stays as it was, whatever the budget is now.
        if known != stage_facts(stage) and not self.record.selecting(stage.name):
            self.journal.add_stage(stage.name, stage_facts(stage))
            self.changed()
        self._kept = set(self.record.states(stage.name))
        # Where each genome stands, in the order asked: optimizers number parents so.
        places: list[tuple[int, int]] = []
        generation = 0
        while self._goes_on(stage, generation, len(places)):
            self._generation(stage, generation, places)
            generation += 1

    def _goes_on(self, stage: Stage, generation: int, asked: int) -> bool:
        if self.record.generation(stage.name, generation):
            return True
        # Once finalists were chosen the search is over, whatever the budget is now.
        if self.record.selecting(stage.name):
            return False
        budget, population = stage.budget, stage.optimizer.population
        if budget.evaluations is not None and asked + population > budget.evaluations:
            return False
        # The first generation runs whatever was spent before it.
        if budget.minutes is None or generation == 0:
            return True
        return sum(self.record.seconds().values()) < 60 * budget.minutes

    def _generation(self, stage: Stage, generation: int, places: list[tuple[int, int]]) -> None:
        """Ask, judge what was not told yet, and tell."""
        genomes = stage.optimizer.ask()
        origins = [
            Descent(origin.operator, tuple(places[parent] for parent in origin.parents))
            for origin in stage.optimizer.origins
        ]
        places += [(generation, position) for position in range(len(genomes))]
        recorded = self.record.generation(stage.name, generation)
        if recorded:
            self._check(stage, recorded, genomes)
        fitness = self.record.told(stage.name, generation)
        if fitness is None:
            fitness = self._judge(stage, generation, genomes, origins, recorded)
            self._check_failures(stage, generation)
            self.journal.tell(stage.name, generation, fitness)
            self.changed()
        self._tell(stage, generation, genomes, fitness)

    def _tell(self, stage: Stage, generation: int, genomes: Genomes, fitness: Genome) -> None:
        """Tell the optimizer, also what else it wants to know; keep what it says of itself."""
        optimizer = stage.optimizer
        candidates = self.record.generation(stage.name, generation)
        numbers = [c.evaluation for c in candidates if c.evaluation is not None]
        found = details(self.record, numbers, fitness, self.task, optimizer)
        optimizer.tell(genomes, fitness, found)
        values = {k: [rounded(v) for v in vs.tolist()] for k, vs in found.values.items()}
        state = {**optimizer.facts, **({"values": values} if values else {})}
        if state and generation not in self._kept:
            self.journal.add_state(stage.name, generation, state)

    def _judge(
        self,
        stage: Stage,
        generation: int,
        genomes: Genomes,
        origins: Sequence[Descent],
        recorded: Sequence[CandidateRecord],
    ) -> Genome:
        """Evaluate round by round as the fitness policy says; return the fitness: (population,)."""
        if recorded:
            recipes = [self.record.recipe(candidate.recipe) for candidate in recorded]
        else:
            recipes = [stage.merger.recipe(genome) for genome in genomes]
        course = stage.fitness.course(generation, len(genomes))
        upcoming = next(course)
        if not recorded:
            first = max(upcoming.items.values(), key=len)
            self.journal.add_generation(
                stage.name,
                generation,
                list(zip(genomes, recipes, strict=True)),
                [item.id for item in first],
                self.task.weights(first),
                origins,
            )
        return self._follow(stage, generation, recipes, course, upcoming)

    def _follow(
        self,
        stage: Stage,
        generation: int,
        recipes: Sequence[Recipe],
        course: Course,
        upcoming: Round,
    ) -> Genome:
        """Go through the rounds of a generation; return its fitness: (population,)."""
        open_ones: dict[int, Judged] = {}
        while True:
            # Those that take part no longer are over.
            over = {p: open_ones.pop(p) for p in [*open_ones] if p not in upcoming.items}
            self._assign(stage, generation, over)
            open_ones |= self._round(stage, generation, recipes, upcoming)
            known = {
                position: self.record.evaluation(judged.number, with_items=not upcoming.last)
                for position, judged in open_ones.items()
            }
            try:
                upcoming = course.send(known)
            except StopIteration as stop:
                self._assign(stage, generation, open_ones)
                return np.asarray(stop.value, dtype=np.float64)

    def _round(
        self, stage: Stage, generation: int, recipes: Sequence[Recipe], now: Round
    ) -> dict[int, Judged]:
        """Evaluate a round; return what came of each candidate, by position."""
        positions = sorted(now.items)
        asked = [Asked(recipes[p], tuple(now.items[p]), proxy=now.proxy) for p in positions]

        def done(judged: Judged) -> None:
            if now.last:
                self._note(stage, generation, positions[judged.place], judged)

        found = self.judging.evaluate(asked, done, self.changed)
        return {positions[judged.place]: judged for judged in found}

    def _assign(self, stage: Stage, generation: int, over: Mapping[int, Judged]) -> None:
        """Note what became of candidates, once."""
        recorded = self.record.generation(stage.name, generation)
        over = {p: judged for p, judged in over.items() if recorded[p].evaluation is None}
        if not over:
            return  # a commit waits for the disk
        with self.journal.transaction():
            for position, judged in over.items():
                self._note(stage, generation, position, judged)
        self.changed()

    def _note(self, stage: Stage, generation: int, position: int, judged: Judged) -> None:
        key = (stage.name, generation, position)
        if self.record.candidate(*key).evaluation is None:
            self.journal.assign(*key, judged.number)

    def _check(self, stage: Stage, recorded: Sequence[CandidateRecord], genomes: Genomes) -> None:
        """Refuse to go on if the optimizer does not ask what it asked before."""
        before = np.array([record.genome for record in recorded])
        if before.shape == genomes.shape and before.tobytes() == genomes.tobytes():
            return
        if before.shape != genomes.shape or np.abs(before - genomes).max() > ROUNDING:
            raise JournalError(
                f"replaying generation {recorded[0].generation} of {stage.name} did not ask the "
                "recorded genomes; evoforge or a library it uses has changed since: go on with "
                f"the versions in {self.journal.folder}/{FILE}, or start a new run"
            )
        log.warning(
            "generation %d was asked on another kind of processor or number of threads: the last "
            "digits differ, and the recorded ones count",
            recorded[0].generation,
        )

    def _check_failures(self, stage: Stage, generation: int) -> None:
        """Raise SearchError if more than half of a generation failed."""
        evaluations = [
            self.record.evaluation(record.evaluation)
            for record in self.record.generation(stage.name, generation)
            if record.evaluation is not None
        ]
        failed = [e for e in evaluations if e.status == "failed"]
        if 2 * len(failed) > len(evaluations):
            raise SearchError(
                f"{len(failed)} of {len(evaluations)} candidates of generation {generation} "
                f"failed, the first with: {failed[0].reason}"
            )

    def select(self, stage: Stage, finalists: int, also: Recipe | None = None) -> Recipe:
        """Let the search's best answer the select items; return the best recipe of them.

        Args:
            stage: the search.
            finalists: how many of its best.
            also: a recipe that stands beside them: a stage need not find anything better than the
                winner of the stage before it.

        Raises:
            SearchError: all of them failed.
        """
        best: tuple[float, Recipe] | None = None
        # First, so that it wins over what is no better.
        found = among_the_best(self.record, stage, finalists)
        recipes = [*([] if also is None else [also]), *found]
        for place, recipe in enumerate(recipes, start=1):
            evaluation = self.role(f"{FINALIST}{stage.name}:{place}", "select", recipe)
            if best is None or evaluation.fitness > best[0]:
                best = (evaluation.fitness, recipe)
        if best is None or math.isinf(best[0]):
            raise SearchError("every finalist failed on the select items, so there is no winner")
        return best[1]
