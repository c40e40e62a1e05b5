"""Evaluating recipes on items, asking each item once: the journal is the memory.

Knows the journal, the task and the executor; it does not know who wants the evaluations.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from evoforge.evaluator.base import judged
from evoforge.executor.base import Executor, Job
from evoforge.journal import Journal
from evoforge.recipe import Recipe
from evoforge.record import Evaluation, ItemResult, item_set_hash
from evoforge.task.base import Item, Task

Key = TypeVar("Key")
Identity = tuple[str, str, bool]


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

    @property
    def identity(self) -> Identity:
        """What is evaluated once, whoever asks it."""
        return (self.recipe.hash, self.item_set, self.proxy)


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
        self.journal = journal
        self._record = journal.record
        self._task = task
        self.executor = executor

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
        waiting: dict[Identity, list[int]] = {}
        for place, one in enumerate(asked):
            number = self.find(one)
            if number is None:
                waiting.setdefault(one.identity, []).append(place)
            else:
                found[place] = Judged(place, number)
        if found:
            with self.journal.transaction():
                for one_found in found.values():
                    done(one_found)
            changed()
        firsts = [asked[places[0]] for places in waiting.values()]
        for evaluation, places in zip(self._run(firsts), waiting.values(), strict=True):
            with self.journal.transaction():
                number = self.keep(asked[places[0]], evaluation)
                for place in places:
                    found[place] = Judged(place, number)
                    done(found[place])
            changed()
        return [found[place] for place in range(len(asked))]

    def find(self, one: Asked) -> int | None:
        """Return the number of the evaluation that is asked, if the journal has it."""
        protocol = self._protocol(one)
        return self._record.find(one.recipe.hash, protocol, one.item_set)

    def _protocol(self, one: Asked) -> str:
        return self._asking(one).protocol_hash(one.items[0].part)

    def _asking(self, one: Asked) -> Task:
        return asking(self._task, proxy=one.proxy)

    def keep(self, one: Asked, evaluation: Evaluation) -> int:
        """Record an evaluation; inside a transaction. Returns its number."""
        ids = [item.id for item in one.items]
        self.journal.add_items(one.items[0].part, ids, self._task.weights(one.items))
        self.journal.add_recipe(one.recipe)
        return self.journal.add_evaluation(evaluation)

    def known(self, one: Asked) -> dict[str, ItemResult]:
        """Return what is known of the items that are asked, by item."""
        ids = [item.id for item in one.items]
        return self._record.results(one.recipe.hash, self._protocol(one), ids)

    def _run(self, asked: Sequence[Asked]) -> Iterator[Evaluation]:
        """Yield the evaluation of each, in order, asking the items that are not known."""
        known = [self.known(one) for one in asked]
        jobs = [job(one, results) for one, results in zip(asked, known, strict=True)]
        answers = self.executor.run([wanted for wanted in jobs if wanted is not None])
        for one, results, wanted in zip(asked, known, jobs, strict=True):
            yield self.whole(one, results, None if wanted is None else next(answers))

    def whole(
        self, one: Asked, known: Mapping[str, ItemResult], answered: Evaluation | None
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
        return judged(
            self._asking(one), one.recipe.hash, one.items, ordered, seconds, proxy=one.proxy
        )


def asking(task: Task, *, proxy: bool) -> Task:
    """Return the task that is asked: itself, or its cheaper proxy."""
    if not proxy:
        return task
    assert task.proxy is not None  # a policy that wants one which is not there is refused
    return task.proxy


def job(one: Asked, known: Mapping[str, ItemResult]) -> Job | None:
    """Return what must be answered beside what is known; None if that is nothing."""
    missing = tuple(item for item in one.items if item.id not in known)
    return Job(one.recipe, missing, proxy=one.proxy) if missing else None


class Stream(Generic[Key]):
    """Evaluations under way, given one by one and taken as they come; equal ones are done once.

    Args:
        judging: what evaluates, and records.
    """

    def __init__(self, judging: Judging) -> None:
        self._judging = judging
        self._asked: dict[Identity, Asked] = {}
        self._keys: dict[Identity, list[Key]] = {}
        self._known: dict[Identity, dict[str, ItemResult]] = {}
        self._jobs: dict[int, Identity] = {}
        # What needs no worker, because the journal has all of it.
        self._ready: deque[Identity] = deque()
        judging.executor.forget()

    def __len__(self) -> int:
        return sum(map(len, self._keys.values()))

    @property
    def has_room(self) -> bool:
        """Whether a worker has nothing to do, and nothing waits to be taken."""
        return not self._ready and len(self) < self._judging.executor.workers

    def give(self, key: Key, one: Asked) -> None:
        """Have something evaluated, known to the caller by a key."""
        identity = one.identity
        self._keys.setdefault(identity, []).append(key)
        if identity in self._asked:
            return
        self._asked[identity] = one
        if self._judging.find(one) is not None:
            self._ready.append(identity)
            return
        known = self._known[identity] = self._judging.known(one)
        wanted = job(one, known)
        if wanted is None:
            self._ready.append(identity)
        else:
            self._jobs[self._judging.executor.submit(wanted)] = identity

    def take(self, done: Callable[[Key, int], None]) -> list[Key]:
        """Wait for an evaluation, record it, and return whose it is.

        Args:
            done: called with each key and the evaluation's number, in the same transaction.

        Raises:
            LookupError: nothing is under way.
        """
        answered: Evaluation | None = None
        if self._ready:
            identity = self._ready.popleft()
        else:
            number, answered = self._judging.executor.finished()
            identity = self._jobs.pop(number)
        one, known = self._asked.pop(identity), self._known.pop(identity, {})
        with self._judging.journal.transaction():
            found = self._judging.find(one)
            if found is None:
                found = self._judging.keep(one, self._judging.whole(one, known, answered))
            for key in self._keys[identity]:
                done(key, found)
        return self._keys.pop(identity)

    def close(self) -> None:
        """Drop what is under way."""
        self._judging.executor.forget()
