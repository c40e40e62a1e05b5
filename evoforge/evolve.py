"""The loop: baselines, generations, selection, test.

Brings mergers, optimizers, evaluators and the journal together; knows none of their insides.
Everything that was recorded is replayed, not repeated, so going on after a crash and starting
anew are the same code.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from evoforge.candidate import Candidate
from evoforge.errors import JournalError, SearchError
from evoforge.executor.base import Executor
from evoforge.finalists import finalists as among_the_best
from evoforge.fitness.base import Deal
from evoforge.generational import Generational
from evoforge.journal import Journal
from evoforge.judging import Asked, Judging
from evoforge.recipe import Recipe
from evoforge.record import BASELINE, FINALIST, WINNER, Evaluation
from evoforge.showcase import examples as kept
from evoforge.stage import Stage, stage_facts
from evoforge.steady_state import SteadyState
from evoforge.task.base import PARTS, Item, Part, Task

log = logging.getLogger(__name__)


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
        self._ahead([(recipe, "search") for recipe in baselines.values()])
        for name, recipe in baselines.items():
            self.role(f"{BASELINE}{name}", "search", recipe)
        winner: Recipe | None = None
        for stage in stages:
            if winner is not None:
                stage = replace(stage, merger=stage.merger.over(winner))
            self.search(stage)
            winner = self.select(stage, finalists, also=winner)
        assert winner is not None
        others = [(baseline, part) for part in PARTS for baseline in baselines.values()]
        self._ahead([*((winner, part) for part in PARTS), *others])
        for part in PARTS:
            self.role(WINNER, part, winner)
        for part in PARTS:
            for name, baseline in baselines.items():
                self.role(f"{BASELINE}{name}", part, baseline)
        self.show()
        return Winner(winner, stages[-1].merger.build(winner))

    def _ahead(self, wanted: Sequence[tuple[Recipe, Part]]) -> None:
        """Have several workers do at the same time what roles ask for one after the other."""
        if self.judging.executor.workers > 1:
            self.judging.evaluate([Asked(recipe, self.whole[part]) for recipe, part in wanted])

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
        """Run a stage until its budget is spent, replaying what is recorded."""
        known = self.record.stages().get(stage.name)
        # What a search that is over was given stays as it was, whatever the budget is now.
        if known != stage_facts(stage) and not self.record.selecting(stage.name):
            self.journal.add_stage(stage.name, stage_facts(stage))
            self.changed()
        schedule = SteadyState if stage.steady else Generational
        schedule(self.journal, self.task, self.judging, stage, self.changed).run()

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
        self._ahead([(recipe, "select") for recipe in recipes])
        for place, recipe in enumerate(recipes, start=1):
            evaluation = self.role(f"{FINALIST}{stage.name}:{place}", "select", recipe)
            if best is None or evaluation.fitness > best[0]:
                best = (evaluation.fitness, recipe)
        if best is None or math.isinf(best[0]):
            raise SearchError("every finalist failed on the select items, so there is no winner")
        return best[1]
