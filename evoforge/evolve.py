"""The loop: baselines, generations, selection, test.

Brings mergers, optimizers, evaluators and the journal together; knows none of their insides.
Everything that was recorded is replayed, not repeated, so going on after a crash and starting
anew are the same code.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evoforge.candidate import Candidate
from evoforge.errors import JournalError, SearchError
from evoforge.executor.base import Executor, Job
from evoforge.journal import Journal
from evoforge.optimizer.base import Genomes
from evoforge.recipe import Recipe
from evoforge.record import FILE, FINALIST, CandidateRecord, Evaluation, item_set_hash
from evoforge.space import Genome
from evoforge.stage import Stage, stage_facts
from evoforge.task.base import PARTS, Item, Part, Task

log = logging.getLogger(__name__)

# Linear algebra rounds differently on another processor; more than this is another search.
ROUNDING = 1e-6

BASELINE = "baseline:"
WINNER = "winner"


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
    """

    def __init__(
        self,
        journal: Journal,
        task: Task,
        executor: Executor,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.journal = journal
        self.record = journal.record
        self.task = task
        self.executor = executor
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
        return Winner(winner, stages[-1].merger.build(winner))

    def role(self, name: str, part: Part, recipe: Recipe) -> Evaluation:
        """Evaluate a recipe on a whole part of the task under a name, or read it back."""
        number = self.record.roles().get((name, part))
        if number is None:
            number = self._evaluate(recipe, part, self.task.items(part))
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

    def _evaluate(self, recipe: Recipe, part: str, items: Sequence[Item]) -> int:
        """Evaluate one recipe, unless it was; return the number of its evaluation."""
        ids = [item.id for item in items]
        found = self._find(recipe, item_set_hash(ids))
        if found is not None:
            return found
        (evaluation,) = self.executor.run([Job(recipe, tuple(items))])
        with self.journal.transaction():
            self.journal.add_items(part, ids)
            self.journal.add_recipe(recipe)
            return self.journal.add_evaluation(evaluation)

    def _find(self, recipe: Recipe, item_set: str) -> int | None:
        return self.record.find(recipe.hash, self.task.protocol_hash, item_set)

    def search(self, stage: Stage) -> None:
        """Run a stage's generations until its budget is spent, replaying what is recorded."""
        known = self.record.stages().get(stage.name)
        # What a search that is over was given stays as it was, whatever the budget is now.
        if known != stage_facts(stage) and not self.record.selecting(stage.name):
            self.journal.add_stage(stage.name, stage_facts(stage))
            self.changed()
        generation = 0
        while self._goes_on(stage, generation):
            self._generation(stage, generation)
            generation += 1

    def _goes_on(self, stage: Stage, generation: int) -> bool:
        if self.record.generation(stage.name, generation):
            return True
        # Once finalists were chosen the search is over, whatever the budget is now.
        if self.record.selecting(stage.name):
            return False
        budget = stage.budget
        next_total = (generation + 1) * stage.optimizer.population
        if budget.evaluations is not None and next_total > budget.evaluations:
            return False
        # The first generation runs whatever was spent before it.
        if budget.minutes is None or generation == 0:
            return True
        return sum(self.record.seconds().values()) < 60 * budget.minutes

    def _generation(self, stage: Stage, generation: int) -> None:
        genomes = stage.optimizer.ask()
        items = stage.fitness.items(generation)
        recorded = self.record.generation(stage.name, generation)
        if recorded:
            self._check(stage, recorded, genomes)
        else:
            asked = [(genome, stage.merger.recipe(genome)) for genome in genomes]
            ids = [item.id for item in items]
            self.journal.add_generation(stage.name, generation, asked, ids)
        self._evaluate_generation(stage, generation, items)
        fitness = self._fitness(stage, generation)
        if self.record.told(stage.name, generation) is None:
            self.journal.tell(stage.name, generation, fitness)
            self.changed()
        stage.optimizer.tell(genomes, fitness)

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

    def _evaluate_generation(self, stage: Stage, generation: int, items: Sequence[Item]) -> None:
        """Evaluate the candidates that have no evaluation yet; equal recipes once."""
        item_set = item_set_hash([item.id for item in items])
        waiting: dict[str, list[int]] = {}
        for candidate in self.record.generation(stage.name, generation):
            if candidate.evaluation is not None:
                continue
            found = self.record.find(candidate.recipe, self.task.protocol_hash, item_set)
            if found is None:
                waiting.setdefault(candidate.recipe, []).append(candidate.position)
            else:
                with self.journal.transaction():
                    key = (stage.name, generation, candidate.position)
                    self.journal.assign(*key, found, cached=True)
                self.changed()
        jobs = [Job(self.record.recipe(recipe), tuple(items)) for recipe in waiting]
        for evaluation, positions in self._results(jobs, waiting):
            with self.journal.transaction():
                number = self.journal.add_evaluation(evaluation)
                for position in positions:
                    cached = position != positions[0]
                    self.journal.assign(stage.name, generation, position, number, cached=cached)
            self.changed()

    def _results(
        self, jobs: Sequence[Job], waiting: Mapping[str, list[int]]
    ) -> Iterator[tuple[Evaluation, list[int]]]:
        yield from zip(self.executor.run(jobs), waiting.values(), strict=True)

    def _fitness(self, stage: Stage, generation: int) -> Genome:
        """Return the fitness of a generation: (population,).

        Raises:
            SearchError: more than half of it failed.
        """
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
        return np.array([evaluation.fitness for evaluation in evaluations])

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
        recipes = [*([] if also is None else [also]), *self._finalists(stage, finalists)]
        for place, recipe in enumerate(recipes, start=1):
            evaluation = self.role(f"{FINALIST}{stage.name}:{place}", "select", recipe)
            if best is None or evaluation.fitness > best[0]:
                best = (evaluation.fitness, recipe)
        if best is None or math.isinf(best[0]):
            raise SearchError("every finalist failed on the select items, so there is no winner")
        return best[1]

    def _finalists(self, stage: Stage, count: int) -> list[Recipe]:
        """Return the recipes of best mean fitness, and what the optimizer itself recommends."""
        found: dict[str, list[float]] = {}
        for candidate in self.record.candidates(genomes=False):
            if candidate.stage == stage.name and candidate.evaluation is not None:
                fitness = self.record.evaluation(candidate.evaluation).fitness
                if math.isfinite(fitness):
                    found.setdefault(candidate.recipe, []).append(fitness)
        # Sorting is stable: of equals, the one found first.
        ranked = sorted(found, key=lambda recipe: -float(np.mean(found[recipe])))
        recipes = [self.record.recipe(key) for key in ranked[:count]]
        genome = stage.optimizer.recommend()
        if genome is not None:
            recommended = stage.merger.recipe(genome)
            if recommended.hash not in ranked[:count]:
                recipes.append(recommended)
        return recipes
