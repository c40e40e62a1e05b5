"""Evaluating recipes on items, asking each item once: the journal is the memory.

Knows the journal, the task and the executor; it does not know who wants the evaluations.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from evoforge.evaluator.base import judged
from evoforge.executor.base import Executor, Job
from evoforge.journal import Journal
from evoforge.recipe import Recipe
from evoforge.record import Evaluation, ItemResult, item_set_hash
from evoforge.task.base import Item, Task


@dataclass(frozen=True)
class Asked:
    """A recipe to be judged.

    Args:
        recipe: of the candidate.
        items: of one part of the task, in order.
        proxy: whether the task's cheaper proxy is asked instead of the task.
    """

    recipe: Recipe
    items: tuple[Item, ...]
    proxy: bool = False

    @property
    def item_set(self) -> str:
        """The identity of the items."""
        return item_set_hash([item.id for item in self.items])


@dataclass(frozen=True)
class Judged:
    """What came of a recipe.

    Args:
        place: of what was asked.
        number: of the evaluation in the journal.
    """

    place: int
    number: int


class Judging:
    """Evaluates through an executor what the journal does not know yet.

    Args:
        journal: the record, which is written.
        task: what candidates are judged on.
        executor: where they are judged.
    """

    def __init__(self, journal: Journal, task: Task, executor: Executor) -> None:
        self._journal = journal
        self._record = journal.record
        self._task = task
        self._executor = executor

    def evaluate(
        self,
        asked: Sequence[Asked],
        done: Callable[[Judged], None] = lambda _: None,
        changed: Callable[[], None] = lambda: None,
    ) -> list[Judged]:
        """Return what came of each, in the order asked; equal ones are evaluated once.

        Args:
            asked: recipes with their items.
            done: called for each inside the transaction that records it.
            changed: called after each commit.
        """
        found: dict[int, Judged] = {}
        waiting: dict[tuple[str, str, bool], list[int]] = {}
        for place, one in enumerate(asked):
            number = self._find(one)
            if number is None:
                waiting.setdefault((one.recipe.hash, one.item_set, one.proxy), []).append(place)
            else:
                found[place] = Judged(place, number)
        if found:
            with self._journal.transaction():
                for one_found in found.values():
                    done(one_found)
            changed()
        firsts = [asked[places[0]] for places in waiting.values()]
        for evaluation, places in zip(self._run(firsts), waiting.values(), strict=True):
            with self._journal.transaction():
                number = self._keep(asked[places[0]], evaluation)
                for place in places:
                    found[place] = Judged(place, number)
                    done(found[place])
            changed()
        return [found[place] for place in range(len(asked))]

    def _find(self, one: Asked) -> int | None:
        protocol = self._protocol(one)
        return self._record.find(one.recipe.hash, protocol, one.item_set)

    def _protocol(self, one: Asked) -> str:
        return self._asking(one).protocol_hash(one.items[0].part)

    def _asking(self, one: Asked) -> Task:
        if not one.proxy:
            return self._task
        proxy = self._task.proxy
        assert proxy is not None  # the session refuses a policy that wants one which is not there
        return proxy

    def _keep(self, one: Asked, evaluation: Evaluation) -> int:
        """Record an evaluation; inside a transaction."""
        ids = [item.id for item in one.items]
        self._journal.add_items(one.items[0].part, ids, self._task.weights(one.items))
        self._journal.add_recipe(one.recipe)
        return self._journal.add_evaluation(evaluation)

    def _run(self, asked: Sequence[Asked]) -> Iterator[Evaluation]:
        """Yield the evaluation of each, in order, asking the items that are not known."""
        known = [
            self._record.results(one.recipe.hash, self._protocol(one), [i.id for i in one.items])
            for one in asked
        ]
        jobs = []
        for one, results in zip(asked, known, strict=True):
            missing = tuple(item for item in one.items if item.id not in results)
            if missing:
                jobs.append(Job(one.recipe, missing, proxy=one.proxy))
        answers = self._executor.run(jobs)
        for one, results in zip(asked, known, strict=True):
            whole = len(results) == len(one.items)
            yield self._whole(one, results, None if whole else next(answers))

    def _whole(
        self, one: Asked, known: dict[str, ItemResult], answered: Evaluation | None
    ) -> Evaluation:
        """Return the evaluation on all items of what was known and what was answered now."""
        if answered is not None and answered.status == "failed":
            return replace(answered, item_set=one.item_set)
        if answered is not None and not known:
            return answered
        new = () if answered is None else answered.results
        results = {**known, **{result.item: result for result in new}}
        ordered = [results[item.id] for item in one.items]
        seconds = {} if answered is None else answered.seconds
        asking = self._asking(one)
        return judged(asking, one.recipe.hash, one.items, ordered, seconds, proxy=one.proxy)
