"""The front of a run with several goals: its best models for some balance, by names to pick from.

Reads the record. Who is on the front is decided by the select items, which all finalists answered;
the search's own values are only what the search saw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np

from evoforge import pareto
from evoforge.path import hops
from evoforge.record import FINALIST, WINNER, CandidateRecord, Evaluation, Record

PART = "select"
BEST = "best"
KNEE = "knee"


@dataclass(frozen=True)
class Member:
    """A model of the front.

    Args:
        names: by which it can be picked: `best` (the winner), `best-GOAL`, `knee`, `front-N`; the
            winner is in the list also if it is not on the front, and then has no number.
        recipe: its hash.
        candidate: where the search asked it first, as `stage/generation/position`; None for one
            that the optimizer recommends and never asked.
        values: of the goals, on the select items.
    """

    names: tuple[str, ...]
    recipe: str
    candidate: str | None
    values: Mapping[str, float]


@dataclass(frozen=True)
class Front:
    """What a search for several goals found.

    Args:
        stage: the search.
        objectives: goal -> `max` or `min`.
        members: the best in the first goal first.
    """

    stage: str
    objectives: Mapping[str, str]
    members: tuple[Member, ...]

    @property
    def content(self) -> dict[str, Any]:
        """The front as JSON, for `result.json`."""
        return {
            "stage": self.stage,
            "part": PART,
            "objectives": dict(self.objectives),
            "members": [{**asdict(each), "names": list(each.names)} for each in self.members],
        }


def front(record: Record) -> Front | None:
    """Return the front of a run's last search for several goals; None if there is none (yet)."""
    found = goals(record)
    if found is None:
        return None
    stage, objectives = found
    finalists = _finalists(record, stage, tuple(objectives))
    if not finalists:
        return None
    recipes = list(finalists)
    signs = np.array([1.0 if way == "max" else -1.0 for way in objectives.values()])
    values = np.array([[finalists[key][goal] for goal in objectives] for key in recipes]) * signs
    on = np.flatnonzero(pareto.ranks(values) == 0)
    on = on[np.lexsort(-values[on].T[::-1])]
    names = _names(values[on], tuple(objectives))
    named = {recipes[place]: own for place, own in zip(on, names, strict=True)}
    if (won := _winner(record)) in finalists:
        named = {won: [BEST, *named.pop(won, [])], **named}
    places = _asked(record, stage)
    members = tuple(
        Member(tuple(own), key, places.get(key), finalists[key]) for key, own in named.items()
    )
    return Front(stage, objectives, members)


def goals(record: Record) -> tuple[str, dict[str, str]] | None:
    """Return the last search for several goals, and these; None if there was none."""
    for stage in reversed(record.stages()):
        for state in reversed(record.states(stage).values()):
            if "objectives" in state:
                return stage, dict(state["objectives"])
    return None


def searched(record: Record, stage: str, names: Sequence[str]) -> dict[str, list[float]]:
    """Return what the search was told of each recipe: its means, in the order of the names.

    Failures, and what was never told, are left out.
    """
    told: dict[str, list[list[float]]] = {}
    for generation, state in record.states(stage).items():
        columns = [state["values"][name] for name in names]
        for candidate in record.generation(stage, generation):
            row = [column[candidate.position] for column in columns]
            if None not in row:
                told.setdefault(candidate.recipe, []).append(row)
    return {
        key: [fmean(column) for column in zip(*rows, strict=True)] for key, rows in told.items()
    }


def measure(record: Record, evaluation: Evaluation, name: str) -> float | None:
    """Return a measure of an evaluation with items, as `evoforge.measured` does; None if unknown.

    Args:
        record: of the run.
        evaluation: that went well.
        name: `fitness`, `tokens`, `hops`, a metric, or a task of several.
    """
    if name == "fitness":
        return evaluation.fitness
    if name == "tokens":
        return fmean(result.tokens for result in evaluation.results)
    if name == "hops":
        return float(len(hops(record.recipe(evaluation.recipe).content)))
    if name in evaluation.metrics:
        return evaluation.metrics[name]
    own = [result.score for result in evaluation.results if result.item.startswith(f"{name}/")]
    return fmean(own) if own else None


def _finalists(record: Record, stage: str, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the goals of the finalists that did not fail, by recipe."""
    found = {}
    for (role, part), number in record.roles().items():
        if part == PART and role.startswith(f"{FINALIST}{stage}:"):
            evaluation = record.evaluation(number, with_items=True)
            if evaluation.status != "ok":
                continue
            values = {name: measure(record, evaluation, name) for name in names}
            fine = {name: value for name, value in values.items() if value is not None}
            if len(fine) == len(names):
                found[evaluation.recipe] = fine
    return found


def _names(values: pareto.Values, names: Sequence[str]) -> list[list[str]]:
    """Return what each member of a front is called, in order."""
    found: list[list[str]] = [[] for _ in values]
    for goal, name in enumerate(names):
        found[int(np.argmax(values[:, goal]))].append(f"{BEST}-{name}")
    found[pareto.knee(values)].append(KNEE)
    for number, own in enumerate(found, start=1):
        own.append(f"front-{number}")
    return found


def _winner(record: Record) -> str | None:
    """Return the winner's recipe, None before there is one."""
    number = record.roles().get((WINNER, PART))
    return None if number is None else record.evaluation(number).recipe


def _asked(record: Record, stage: str) -> dict[str, str]:
    """Return where each recipe was asked first."""
    found: dict[str, str] = {}
    for candidate in record.candidates(genomes=False):
        if candidate.stage == stage:
            found.setdefault(candidate.recipe, place(candidate))
    return found


def place(candidate: CandidateRecord) -> str:
    """Return what a candidate is called: `stage/generation/position`."""
    return f"{candidate.stage}/{candidate.generation}/{candidate.position}"
