"""What every evaluator does: answer items with one candidate, and turn faults into results.

An evaluator knows a task and how to run a model; it does not know how candidates are made.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import torch

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError
from evoforge.record import Evaluation, ItemResult, item_set_hash
from evoforge.task.base import Item, Task

log = logging.getLogger(__name__)


class Evaluator(ABC):
    """Judges candidates on a task.

    Args:
        task: what they are judged on.
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    def evaluate(self, candidate: Candidate, items: Sequence[Item]) -> Evaluation:
        """Return what became of a candidate: a failure is a result with a reason, never an error.

        Args:
            candidate: the merged model.
            items: what it is to answer, in order.
        """
        seconds: dict[str, float] = {}
        try:
            results = self.answer(candidate, items, seconds)
        except ConfigError:
            raise  # the user's mistake, not the candidate's fault
        except Exception as error:
            log.debug("evaluation failed", exc_info=error)
            reason = f"{type(error).__name__}: {error}"
            return self._failed(candidate, items, seconds, reason)
        score = fmean(result.score for result in results)
        names = results[0].metrics
        return Evaluation(
            recipe=candidate.identity,
            protocol=self.task.protocol_hash,
            item_set=item_set_hash([item.id for item in items]),
            status="ok",
            fitness=self.task.fitness(score),
            score=score,
            metrics={name: fmean(r.metrics[name] for r in results) for name in names},
            seconds=seconds,
            results=tuple(results),
        )

    @abstractmethod
    def answer(
        self, candidate: Candidate, items: Sequence[Item], seconds: dict[str, float]
    ) -> list[ItemResult]:
        """Return the result of each item, in order, adding to `seconds` by phase.

        Phases are `merge`, `generate` and `score`. May raise anything.
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

    def _failed(
        self,
        candidate: Candidate,
        items: Sequence[Item],
        seconds: Mapping[str, float],
        reason: str,
    ) -> Evaluation:
        return Evaluation(
            recipe=candidate.identity,
            protocol=self.task.protocol_hash,
            item_set=item_set_hash([item.id for item in items]),
            status="failed",
            fitness=float("-inf"),
            reason=reason,
            seconds=dict(seconds),
        )
