"""One search: what its two schedules have in common.

Asks an optimizer, checks that it asks what is recorded, and says who becomes what in the journal;
does not know when anything is asked or told.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evoforge.errors import JournalError, SearchError
from evoforge.evaluation import Evaluation
from evoforge.journal import Journal
from evoforge.judging import Judging
from evoforge.measured import details, rounded
from evoforge.optimizer.base import Details, Genomes
from evoforge.origin import Descent
from evoforge.recipe import Recipe
from evoforge.record import FILE, CandidateRecord
from evoforge.space import Genome
from evoforge.stage import Stage
from evoforge.task.base import Item, Task

log = logging.getLogger(__name__)

# Linear algebra rounds differently on another processor; more than this is another search.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Generation:
    """What an optimizer asked at a time.

    Args:
        number: counted from 0.
        first: how many genomes were asked before.
        genomes: (population, dim).
        origins: where they come from, or none.
        recorded: those of them that the journal knows already, in order.
    """

    number: int
    first: int
    genomes: Genomes
    origins: Sequence[Descent]
    recorded: Sequence[CandidateRecord]


class Search(ABC):
    """One search, until its budget is spent; what is recorded is replayed.

    Args:
        journal: the record, which is written.
        task: what candidates are judged on.
        judging: evaluates them.
        stage: what is searched, how, and for how long.
        changed: called after every commit.
    """

    def __init__(
        self,
        journal: Journal,
        task: Task,
        judging: Judging,
        stage: Stage,
        changed: Callable[[], None],
    ) -> None:
        self.journal, self.record = journal, journal.record
        self.task, self.judging, self.stage, self.changed = task, judging, stage, changed
        self.generations = 0
        # Where each genome stands, in the order asked: optimizers number parents so.
        self.places: list[tuple[int, int]] = []

    @abstractmethod
    def run(self) -> None:
        """Search.

        Raises:
            SearchError: more than half of those who are told at a time failed.
            JournalError: the record is of another search, or cannot be written.
        """

    def ask(self) -> Generation:
        """Ask the optimizer, and check that it asks what is recorded."""
        optimizer, number, first = self.stage.optimizer, self.generations, len(self.places)
        genomes = optimizer.ask()
        origins = [
            Descent(origin.operator, tuple(self.places[parent] for parent in origin.parents))
            for origin in optimizer.origins
        ]
        self.places += [(number, position) for position in range(len(genomes))]
        self.generations += 1
        recorded = self.record.generation(self.stage.name, number)
        if recorded:
            self._check(recorded, genomes)
        return Generation(number, first, genomes, origins, recorded)

    def _check(self, recorded: Sequence[CandidateRecord], genomes: Genomes) -> None:
        """Refuse to go on if the optimizer does not ask what it asked before."""
        before = np.array([record.genome for record in recorded])
        # Of a generation that a budget had cut off the first ones are recorded.
        genomes = genomes[: len(before)] if self.stage.steady else genomes
        if before.shape == genomes.shape and before.tobytes() == genomes.tobytes():
            return
        if before.shape != genomes.shape or np.abs(before - genomes).max() > ROUNDING:
            raise JournalError(
                f"replaying generation {recorded[0].generation} of {self.stage.name} did not ask "
                "the recorded genomes; evoforge or a library it uses has changed since: go on with "
                f"the versions in {self.journal.folder}/{FILE}, or start a new run"
            )
        log.warning(
            "generation %d was asked on another kind of processor or number of threads: the last "
            "digits differ, and the recorded ones count",
            recorded[0].generation,
        )

    def recipes(self, asked: Generation) -> list[Recipe]:
        """Return the recipe of each genome, as it is recorded or as the merger makes it."""
        known = [self.record.recipe(candidate.recipe) for candidate in asked.recorded]
        return [*known, *map(self.stage.merger.recipe, asked.genomes[len(known) :])]

    def add(self, asked: Generation, recipes: Sequence[Recipe], items: Sequence[Item]) -> None:
        """Record what was asked, before anything of it is evaluated.

        Args:
            asked: a generation that is not recorded yet.
            recipes: of those that will be judged, the first ones or all.
            items: what they are asked first.
        """
        self.journal.add_generation(
            self.stage.name,
            asked.number,
            list(zip(asked.genomes, recipes, strict=False)),
            [item.id for item in items],
            self.task.weights(items),
            asked.origins[: len(recipes)],
        )

    def note(self, generation: int, position: int, evaluation: int) -> None:
        """Say what became of a candidate, once; inside a transaction."""
        key = (self.stage.name, generation, position)
        if self.record.candidate(*key).evaluation is None:
            self.journal.assign(*key, evaluation)

    def details(self, evaluations: Sequence[int], fitness: Genome, asked: Sequence[int]) -> Details:
        """Return what the optimizer wants to be told beside fitness.

        Args:
            evaluations: numbers of those who are told.
            fitness: (population,) theirs.
            asked: their numbers in the order asked.
        """
        optimizer = self.stage.optimizer
        return details(self.record, evaluations, fitness, self.task, optimizer, asked)

    def state(self, found: Details) -> dict[str, Any]:
        """Return what the optimizer says of itself, and what was measured of a generation."""
        values = {k: [rounded(v) for v in vs.tolist()] for k, vs in found.values.items()}
        return {**self.stage.optimizer.facts, **({"values": values} if values else {})}


def check_failures(evaluations: Sequence[Evaluation], of: str) -> None:
    """Raise SearchError if more than half failed.

    Args:
        evaluations: of those who are told at a time.
        of: who they are.
    """
    failed = [e for e in evaluations if e.status == "failed"]
    if 2 * len(failed) > len(evaluations):
        raise SearchError(
            f"{len(failed)} of {len(evaluations)} candidates {of} failed, the first with: "
            f"{failed[0].reason}"
        )
