"""What every evaluator does: answer items with one candidate, and turn faults into results.

An evaluator knows a task and how to run a model; it does not know how candidates are made.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError
from evoforge.evaluator._lengths import Length as Length
from evoforge.evaluator._lengths import lengths as lengths
from evoforge.record import Evaluation, ItemResult, item_set_hash
from evoforge.secrets import clean
from evoforge.task.base import Item, Task
from evoforge.visible import one_line

log = logging.getLogger(__name__)


class Evaluator(ABC):
    """Judges candidates on a task.

    Args:
        task: what they are judged on.
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    def evaluate(
        self, candidate: Candidate, items: Sequence[Item], *, proxy: bool = False
    ) -> Evaluation:
        """Return what became of a candidate: a failure is a result with a reason, never an error.

        Args:
            candidate: the merged model.
            items: what it is to answer, in order, all of one part.
            proxy: whether to ask the task's cheaper proxy.
        """
        task = self.task.proxy if proxy else self.task
        if task is None:
            raise ConfigError(f"{self.task.name} has no proxy; set task.proxy")
        seconds: dict[str, float] = {}
        try:
            results = self.answer(task, candidate, items, seconds)
        except ConfigError:
            raise  # the user's mistake, not the candidate's fault
        except Exception as error:
            log.debug("evaluation failed", exc_info=error)
            reason = one_line(clean(f"{type(error).__name__}: {error}"))
            return _failed(task, candidate, items, seconds, reason, proxy)
        return judged(task, candidate.identity, items, results, seconds, proxy=proxy)

    @abstractmethod
    def answer(
        self, task: Task, candidate: Candidate, items: Sequence[Item], seconds: dict[str, float]
    ) -> list[ItemResult]:
        """Return the result of each item, in order, adding to `seconds` by phase.

        A result must not depend on the other items. Phases are `merge`, `generate` and `score`.
        May raise anything.

        Args:
            task: the evaluator's own, or its proxy.
            candidate: the merged model.
            items: what it is to answer.
            seconds: is added to.
        """

    @abstractmethod
    def logits(self, candidate: Candidate, items: Sequence[Item]) -> list[torch.Tensor]:
        """Return what a candidate says of every next token of the items' prompts.

        Returns:
            For each item (tokens, vocabulary) float32 on the CPU. May raise anything.
        """

    @abstractmethod
    def logits_of(self, folder: Path, items: Sequence[Item]) -> list[torch.Tensor]:
        """Return the same of a model folder, computed in the same way; may raise anything."""

    def close(self) -> None:
        """Give back what outlives the evaluator, if anything does; may be called twice."""
        return  # most hold memory of this process alone


def judged(
    task: Task,
    recipe: str,
    items: Sequence[Item],
    results: Sequence[ItemResult],
    seconds: Mapping[str, float],
    *,
    proxy: bool,
) -> Evaluation:
    """Return the evaluation that the results of items make.

    Args:
        task: what was asked.
        recipe: the recipe's hash.
        items: all of one part, in order.
        results: one for each item, in the same order.
        seconds: by phase.
        proxy: whether the task is a proxy.
    """
    verdict = task.judge(items, [result.metrics for result in results])
    return Evaluation(
        recipe=recipe,
        protocol=task.protocol_hash(items[0].part),
        item_set=item_set_hash([item.id for item in items]),
        status="ok",
        fitness=verdict.fitness,
        score=verdict.score,
        metrics=verdict.metrics,
        seconds=seconds,
        results=tuple(results),
        proxy=proxy,
    )


def _failed(
    task: Task,
    candidate: Candidate,
    items: Sequence[Item],
    seconds: Mapping[str, float],
    reason: str,
    proxy: bool,
) -> Evaluation:
    return Evaluation(
        recipe=candidate.identity,
        protocol=task.protocol_hash(items[0].part),
        item_set=item_set_hash([item.id for item in items]),
        status="failed",
        fitness=float("-inf"),
        reason=reason,
        seconds=dict(seconds),
        proxy=proxy,
    )
