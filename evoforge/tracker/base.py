"""What every tracker is: a copy of the journal that pulls what is new.

Trackers know records; they do not know models, optimizers, or who else follows the run. A tracker
that fails is dropped, and the run goes on.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from evoforge.path import Hop, hops
from evoforge.record import CandidateRecord, Evaluation, Record

log = logging.getLogger(__name__)

Status = Literal["finished", "interrupted", "failed"]


class Tracker(ABC):
    """Follows one run at a time by reading its record.

    Any method may raise: `Trackers` keeps that away from the run.
    """

    @abstractmethod
    def start(self, record: Record) -> None:
        """Begin to follow a run; of a resumed one, all that is recorded is told again."""

    @abstractmethod
    def update(self) -> None:
        """Tell what is new since the last call; called after every commit."""

    @abstractmethod
    def finish(self, status: Status, result: Mapping[str, Any] | None) -> None:
        """Stop following. Safe to call at any time, also without `start`.

        Args:
            status: how the run ended.
            result: the content of `result.json`; None if the run has no result.
        """


class Trackers(Tracker):
    """Several trackers driven as one, none of which can harm the run.

    Args:
        trackers: told in this order.
    """

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = list(trackers)

    def start(self, record: Record) -> None:
        """Start all."""
        self._each("start", record)

    def update(self) -> None:
        """Update all."""
        self._each("update")

    def finish(self, status: Status, result: Mapping[str, Any] | None) -> None:
        """Finish all."""
        self._each("finish", status, result)

    def _each(self, method: str, *given: Any) -> None:
        for tracker in tuple(self._trackers):
            try:
                getattr(tracker, method)(*given)
            # Whatever breaks in a copy (network, disk, terminal, a library), the run is worth more.
            except Exception as error:  # noqa: BLE001
                self._drop(tracker, error)

    def _drop(self, tracker: Tracker, error: Exception) -> None:
        self._trackers.remove(tracker)
        name = type(tracker).__name__
        log.warning(
            "tracker %s stopped, the run goes on: %s: %s", name, type(error).__name__, error
        )
        log.debug("tracker %s", name, exc_info=error)
        with suppress(Exception):  # it may hold the terminal or a connection
            tracker.finish("failed", None)


@dataclass(frozen=True)
class Staged:
    """A search begins, with its facts as the journal holds them."""

    name: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Scored:
    """A candidate has its evaluation.

    Args:
        index: counts the candidates of the run from 0.
        candidate: what was asked.
        evaluation: what became of it.
        items: how many items it was judged on; within a generation they can differ.
    """

    index: int
    candidate: CandidateRecord
    evaluation: Evaluation
    items: int

    @property
    def score(self) -> float | None:
        """Its score on the task; None of a failure, and of one that a proxy alone has judged."""
        return None if self.evaluation.proxy else self.evaluation.score


@dataclass(frozen=True)
class Told:
    """A generation is complete.

    Args:
        index: counts the generations of the run from 0.
        stage: the search it belongs to.
        generation: counts the generations of the stage from 0.
        best_so_far: the score of the best candidate of the stage; None while there is none. Only
            those count that answered as many items as any in their generation.
        hops: how many hops that candidate's path has; None if it has no path.
        best: the score of the generation's best candidate among those; None if there is none, as
            the next three.
        mean: of all scores.
        std: of the scores.
        min: of the scores.
        spread: the standard deviation of the genes over the population, mean over the genes.
        failures: how many candidates failed.
        screened: how many candidates a proxy alone has judged.
        items: the most items that a candidate was judged on.
        hits: how many results came from the cache.
        seconds: the time of all new evaluations.
    """

    index: int
    stage: str
    generation: int
    best_so_far: float | None
    hops: int | None
    best: float | None
    mean: float | None
    std: float | None
    min: float | None
    spread: float
    failures: int
    screened: int
    items: int
    hits: int
    seconds: float


@dataclass(frozen=True)
class Named:
    """An evaluation got a name, such as `baseline:ja` on the part `search`."""

    name: str
    part: str
    evaluation: Evaluation


News = Staged | Scored | Told | Named


@dataclass
class _Stage:
    """What is known of one search, also when others came after it.

    `settled` is the best of its complete generations, `best` also of the one that goes on: there
    somebody may still answer more items, beside whom the best so far does not count.
    """

    candidates: int = 0
    settled: Evaluation | None = None
    best: Evaluation | None = None
    path: tuple[Hop, ...] = ()
    history: list[float] = field(default_factory=list)


class Progress:
    """Where a run stands, folded from the events of its record.

    The best, its path and the history are those of the stage that runs: a later stage searches
    other models, perhaps on other items.

    Args:
        record: the run to follow.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self.stage = ""
        self.facts: Mapping[str, Any] = {}
        self.candidates = 0
        self.generations = 0
        self.failures = 0
        self.hits = 0
        self.last: Told | None = None
        self._stages: dict[str, _Stage] = {}
        self._mark = 0
        self._open: list[Scored] = []  # scored since the last complete generation
        self._sizes: dict[str, int] = {}  # number of items by set

    @property
    def _now(self) -> "_Stage":
        return self._of(self.stage)

    def _of(self, stage: str) -> "_Stage":
        return self._stages.setdefault(stage, _Stage())

    @property
    def candidates_of_stage(self) -> int:
        """How many candidates the stage has had."""
        return self._now.candidates

    @property
    def best(self) -> Evaluation | None:
        """The best evaluation of the stage."""
        return self._now.best

    @property
    def path(self) -> tuple[Hop, ...]:
        """The path of the stage's best candidate; empty if it has none."""
        return self._now.path

    @property
    def history(self) -> list[float]:
        """The stage's best score after each generation."""
        return self._now.history

    def news(self) -> Iterator[News]:
        """Yield what is new, in order; each piece once."""
        for event in self.record.events(after=self._mark):
            # Before the yield: what a tracker is interrupted at is not told twice.
            self._mark = event.seq
            content = event.content
            if event.kind == "stage":
                yield self._stage(content["stage"])
            elif event.kind == "candidate":
                key = (content["stage"], content["generation"], content["position"])
                yield self._scored(self.record.candidate(*key))
            elif event.kind == "generation":
                yield self._told(content["stage"], content["generation"])
            elif event.kind == "role":
                number = self.record.roles()[content["name"], content["part"]]
                evaluation = self.record.evaluation(number)
                yield Named(content["name"], content["part"], evaluation)

    def _stage(self, name: str) -> Staged:
        self.stage, self.facts = name, self.record.stages()[name]
        return Staged(name, self.facts)

    def _scored(self, candidate: CandidateRecord) -> Scored:
        assert candidate.evaluation is not None  # the journal sets it in the same transaction
        evaluation = self.record.evaluation(candidate.evaluation)
        scored = Scored(self.candidates, candidate, evaluation, self._size(evaluation.item_set))
        self._open.append(scored)
        self.candidates += 1
        self.failures += evaluation.status == "failed"
        self.hits += candidate.cached
        stage = self._of(candidate.stage)
        stage.candidates += 1
        self._find_best(stage)
        return scored

    def _size(self, item_set: str) -> int:
        if item_set not in self._sizes:
            self._sizes[item_set] = len(self.record.items(item_set))
        return self._sizes[item_set]

    def _find_best(self, stage: _Stage) -> None:
        """Note the best of a stage, the generation that goes on included."""
        before, best = stage.best, stage.settled
        for row in _finished(self._open):
            if best is None or row.evaluation.fitness > best.fitness:
                best = row.evaluation
        stage.best = best
        if best is not None and (before is None or best.recipe != before.recipe):
            stage.path = hops(self.record.recipe(best.recipe).content)

    def _told(self, stage: str, generation: int) -> Told:
        opened = self._open
        # In steady state there are some of other generations beside.
        own = [(r.candidate.stage, r.candidate.generation) == (stage, generation) for r in opened]
        rows = [row for row, mine in zip(opened, own, strict=True) if mine]
        self._open = [row for row, mine in zip(opened, own, strict=True) if not mine]
        known = self._of(stage)
        known.settled = known.best
        ok = [row for row in rows if row.score is not None]
        scores = np.array([row.score for row in ok], dtype=np.float64)
        genomes = np.array([row.candidate.genome for row in rows])
        so_far = known.best.score if known.best else None
        fresh = [row.evaluation for row in rows if not row.candidate.cached]
        told = Told(
            index=self.generations,
            stage=stage,
            generation=generation,
            best_so_far=so_far,
            hops=len(known.path) or None,
            best=max(_finished(ok), key=lambda r: r.evaluation.fitness).score if ok else None,
            mean=float(scores.mean()) if ok else None,
            std=float(scores.std()) if ok else None,
            min=float(scores.min()) if ok else None,
            spread=float(genomes.std(axis=0).mean()) if rows else 0.0,
            failures=sum(row.evaluation.status == "failed" for row in rows),
            screened=sum(row.evaluation.proxy and row.evaluation.status == "ok" for row in rows),
            items=max((row.items for row in ok), default=0),
            hits=sum(row.candidate.cached for row in rows),
            seconds=sum(sum(e.seconds.values()) for e in fresh),
        )
        self.generations += 1
        self.last = told
        if so_far is not None:
            known.history.append(so_far)
        return told


def _finished(rows: Sequence[Scored]) -> list[Scored]:
    """Return those that have a score on as many items as any."""
    most = max((row.items for row in rows if row.score is not None), default=0)
    return [row for row in rows if row.score is not None and row.items == most]
