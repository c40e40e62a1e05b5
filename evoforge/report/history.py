"""The course of a run as arrays: what was tried, when, and how it scored.

History reads records; it draws nothing and judges nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evoforge.record import CandidateRecord, Evaluation, Record
from evoforge.report.lineage import merges, numbers

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

# What recipes and genes write for the source of a parameter that belongs to none.
SHARED = "*"


@dataclass(frozen=True)
class History:
    """The candidates of one stage whose evaluation is done, in the order they were asked.

    Args:
        stage: the stage's name.
        info: the stage's facts.
        candidates: (n,) records.
        evaluations: (n,) how many evaluations the run had spent when each was done.
        scores: (n,) score in task units; NaN for a failure, and for one that was only screened by
            a proxy, whose scores are of another kind.
        fitness: (n,) higher is better; of one with a score it is that score, in its direction,
            unless a limit of a suite is broken.
        items: (n,) how many items each was judged on.
        screened: (n,) which were judged by a proxy alone.
    """

    stage: str
    info: Mapping[str, Any]
    candidates: tuple[CandidateRecord, ...]
    evaluations: Ints
    scores: Floats
    fitness: Floats
    items: Ints
    screened: Flags

    @cached_property
    def generations(self) -> Ints:
        """The generation of each candidate: (n,)."""
        return np.array([c.generation for c in self.candidates], dtype=np.int64)

    @property
    def scored(self) -> Flags:
        """Which candidates have a score: (n,)."""
        return ~np.isnan(self.scores)

    @property
    def failed(self) -> Flags:
        """Which candidates failed: (n,)."""
        return ~self.scored & ~self.screened

    @cached_property
    def dropped(self) -> Flags:
        """Which candidates have a score on fewer items than others of their generation: (n,)."""
        found = np.zeros(len(self.candidates), dtype=np.bool_)
        for part in self.split():
            most = self.items[part][self.scored[part]].max(initial=0)
            found[part] = self.scored[part] & (self.items[part] < most)
        return found

    @property
    def finished(self) -> Floats:
        """The scores of those that were not dropped: (n,), else NaN."""
        return np.where(self.dropped, np.nan, self.scores)

    @property
    def best(self) -> Floats:
        """The score of the best up to each candidate: (n,), NaN until there is one.

        Who was dropped early is not the best: on few items luck goes far. Nor is who breaks a limit
        of a suite while another keeps it, whatever its score.
        """
        return best_so_far(self.finished, self.fitness)

    @property
    def names(self) -> tuple[str, ...]:
        """The genes' names in order: (dim,)."""
        return tuple(self.info.get("names", ()))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The genes' kinds in order: (dim,); empty in journals that do not tell them."""
        return tuple(self.info.get("kinds", ()))

    def split(self) -> list[NDArray[np.intp]]:
        """Return the candidates' positions, generation by generation."""
        edges = np.flatnonzero(np.diff(self.generations)) + 1
        return np.split(np.arange(len(self.candidates)), edges) if len(self.candidates) else []

    def means(self) -> tuple[Floats, Floats]:
        """Return the middle (in evaluations) and the mean score of each generation."""
        parts = [p[self.scored[p]] for p in self.split()]
        parts = [p for p in parts if p.size]
        middle = np.array([self.evaluations[p].mean() for p in parts], dtype=np.float64)
        return middle, np.array([self.scores[p].mean() for p in parts], dtype=np.float64)


def best_so_far(scores: Floats, fitness: Floats) -> Floats:
    """Return the score of the fittest up to each: (n,), NaN until there is one.

    Args:
        scores: (n,) NaN for what does not count.
        fitness: (n,) higher is better.
    """
    ranked = np.where(np.isnan(scores), -np.inf, fitness)
    leads = (ranked == np.maximum.accumulate(ranked)) & ~np.isnan(scores)
    last = np.maximum.accumulate(np.where(leads, np.arange(len(scores)), -1))
    return np.where(last < 0, np.nan, scores[last])


def higher(info: Mapping[str, Any]) -> bool:
    """Return whether a stage's metric is better when higher."""
    return bool(info.get("direction", "max") != "min")


def histories(record: Record) -> list[History]:
    """Return every stage of a run, in the order they ran; a stage without results is left out."""
    done: dict[str, list[CandidateRecord]] = {}
    for candidate in record.candidates():
        if candidate.evaluation is not None:
            done.setdefault(candidate.stage, []).append(candidate)
    found: list[History] = []
    sizes: dict[str, int] = {}
    spent, known = 0, record.evaluations()
    for stage, info in record.stages().items():
        candidates = done.get(stage, [])
        if not candidates:
            continue
        fresh = np.cumsum([not c.cached for c in candidates], dtype=np.int64)
        judged = [known[c.evaluation] for c in candidates if c.evaluation is not None]
        for key in {e.item_set for e in judged} - sizes.keys():
            sizes[key] = len(record.items(key))
        evaluations = np.maximum(fresh + spent, 1)
        spent += int(fresh[-1])
        found.append(
            History(
                stage,
                info,
                tuple(candidates),
                evaluations,
                scores=np.array([_score(evaluation) for evaluation in judged], dtype=np.float64),
                fitness=np.array([evaluation.fitness for evaluation in judged], dtype=np.float64),
                items=np.array([sizes[evaluation.item_set] for evaluation in judged]),
                screened=np.array([_screened(evaluation) for evaluation in judged]),
            )
        )
    return found


def _score(evaluation: Evaluation) -> float:
    if evaluation.status != "ok" or evaluation.score is None or evaluation.proxy:
        return float("nan")
    return evaluation.score


def _screened(evaluation: Evaluation) -> bool:
    return evaluation.proxy and evaluation.status == "ok"


def values(record: Record, history: History, part: NDArray[np.intp] | None = None) -> Floats:
    """Return the genes of a stage as the numbers that were merged with: (n, dim).

    Decoded here where the stage tells its genes' kinds, since thousands of recipes take long to
    read; else, as in old journals, read from the recipes. A gene that a recipe does not name lies
    between its low and its high in proportion.

    Args:
        record: the run.
        history: the stage.
        part: positions of the wanted candidates; None for all.
    """
    chosen = range(len(history.candidates)) if part is None else part
    candidates = [history.candidates[index] for index in chosen]
    if history.kinds:
        genomes = np.array([candidate.genome for candidate in candidates], dtype=np.float64)
        return decoded(genomes.reshape(len(candidates), len(history.names)), history.info)
    rows = [genes(history, c, numbers(record.recipe(c.recipe).content)) for c in candidates]
    return np.array(rows, dtype=np.float64)


def decoded(genomes: Floats, info: Mapping[str, Any]) -> Floats:
    """Return what genes mean, as `Space.decode` does but many at once, without its rounding.

    A choice is the number of what is chosen.

    Args:
        genomes: (n, dim) in [0, 1].
        info: a stage's facts: `low`, `high` and `kinds`.
    """
    low, high = (np.array(info[key], dtype=np.float64) for key in ("low", "high"))
    kinds = np.array(info["kinds"])
    found = low + genomes * (high - low)
    log = kinds == "log"
    found[:, log] = low[log] * (high[log] / low[log]) ** genomes[:, log]
    binary = kinds == "binary"
    found[:, binary] = genomes[:, binary] > 0.5
    steps = np.isin(kinds, ("integer", "choice"))
    count = high[steps] - low[steps] + 1
    found[:, steps] = low[steps] + np.minimum(np.floor(genomes[:, steps] * count), count - 1)
    return found


def genes(
    history: History, candidate: CandidateRecord, recipe_values: Mapping[str, Any]
) -> list[float]:
    """Return the numbers of one candidate's genes: (dim,)."""
    low, high = history.info["low"], history.info["high"]
    row = []
    for index, name in enumerate(history.names):
        group, source, parameter = parse(name)
        value = _number(recipe_values, (group, source, parameter))
        if value is None:
            value = low[index] + float(candidate.genome[index]) * (high[index] - low[index])
        row.append(value)
    return row


def _number(values: Any, path: Sequence[str]) -> float | None:
    for key in path:
        if not isinstance(values, Mapping) or key not in values:
            return None
        values = values[key]
    return float(values) if isinstance(values, int | float) else None


def parse(name: str) -> tuple[str, str, str]:
    """Return the group, source and parameter of a gene's name; a missing part is empty.

    So is the source of a parameter that belongs to none.

    >>> parse("layer3.math_a.density")
    ('layer3', 'math_a', 'density')
    """
    group, dot, rest = name.partition(".")
    if not dot:
        return "", "", name
    source, _, parameter = rest.rpartition(".")
    return group, "" if source == SHARED else source, parameter


def winner(record: Record, history: History) -> int | None:
    """Return the winner's position among a stage's candidates, None if it is not one of them.

    In a stage that made a source for the winner, the position of that source.
    """
    roles = [number for (name, _), number in record.roles().items() if name == "winner"]
    recipes = {record.evaluation(number).recipe for number in roles}
    recipes |= {key for recipe in recipes for key in merges(record.recipe(recipe).content)}
    found = [i for i, c in enumerate(history.candidates) if c.recipe in recipes]
    # Where it has a score, if it was also screened.
    return next((i for i in found if history.scored[i]), found[0] if found else None)
