"""What evaluations say beside their fitness: what optimizers of several goals are told.

Reads the record alone, so that a search that goes on is told the same as before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from evoforge.errors import ConfigError
from evoforge.evaluation import Evaluation
from evoforge.optimizer.base import Details, Optimizer
from evoforge.path import hops
from evoforge.record import Record
from evoforge.space import Genome
from evoforge.task.base import Task

# Beside the metrics of the task, and its tasks if it is made of several.
ALWAYS = ("fitness", "tokens", "hops")


def details(
    record: Record,
    numbers: Sequence[int],
    fitness: Genome,
    task: Task,
    optimizer: Optimizer,
    asked: Sequence[int] = (),
) -> Details:
    """Return what an optimizer wants to be told of a generation.

    Who was judged by a proxy alone was not measured, as who failed: both have NaN.

    Its measures may be `fitness`; any metric of the task; the name of a task of several, for the
    mean score of its items; `tokens`, the mean length of an answer; and `hops`, how many layers a
    path leads through, 0 for what is no path.

    Args:
        record: of the run.
        numbers: (population,) of the evaluations, in the order asked.
        fitness: (population,) as told.
        task: that was judged.
        optimizer: that wants to know.
        asked: numbers of those who are told, in the order in which it asked them.

    Raises:
        ConfigError: it wants something that these evaluations do not say.
    """
    reads = optimizer.measures != () or optimizer.per_item
    found = [record.evaluation(number, with_items=reads) for number in numbers]
    # The keys of a failure are nobody's, and a proxy measures something else.
    fine = [evaluation for evaluation in found if _is_measured(evaluation)]
    sets = tuple(e.item_set if _is_measured(e) else "" for e in found)
    who = Details(sets=sets, numbers=tuple(asked))
    if not reads:
        return who
    strata = {item.id: item.stratum.partition("/")[0] for item in task.items("search")}
    tasks = tuple(dict.fromkeys(filter(None, (strata[r.item] for e in fine for r in e.results))))
    metrics = tuple(dict.fromkeys(name for evaluation in fine for name in evaluation.metrics))
    known = dict.fromkeys([*ALWAYS, *tasks, *metrics])
    wanted = tuple(known) if optimizer.measures is None else optimizer.measures
    if fine and (unknown := [name for name in wanted if name not in known]):
        raise ConfigError(
            f"this optimizer measures {unknown[0]}, which evaluations do not have; they have "
            f"{', '.join(known)}; set the measures or objectives of optimizer"
        )
    rows = [_values(record, e, float(f), strata) for e, f in zip(found, fitness, strict=True)]
    values = {name: np.array([row.get(name, np.nan) for row in rows]) for name in wanted}
    if not optimizer.per_item:
        return replace(who, values=values, tasks=tasks)
    ids = tuple(dict.fromkeys(result.item for evaluation in fine for result in evaluation.results))
    # Of several tasks each item's score is signed already, and higher is better.
    sign = 1 if task.higher_is_better else -1
    return replace(who, values=values, tasks=tasks, items=sign * _items(found, ids), ids=ids)


def _is_measured(evaluation: Evaluation) -> bool:
    return evaluation.status == "ok" and not evaluation.proxy


def _values(
    record: Record, evaluation: Evaluation, fitness: float, strata: Mapping[str, str]
) -> dict[str, float]:
    """Return everything that is measured of one candidate; nothing of a failure or by a proxy."""
    if not _is_measured(evaluation):
        return {}
    of_task: dict[str, list[float]] = {}
    for result in evaluation.results:
        if task := strata[result.item]:
            of_task.setdefault(task, []).append(result.score)
    path = hops(record.recipe(evaluation.recipe).content)
    return {
        "fitness": fitness,
        "tokens": fmean(result.tokens for result in evaluation.results),
        "hops": float(len(path or ())),
        **{task: fmean(scores) for task, scores in of_task.items()},
        **evaluation.metrics,
    }


def _items(evaluations: Sequence[Evaluation], ids: Sequence[str]) -> np.ndarray:
    """Return the score of each item: (population, items), NaN where it was not answered."""
    place = {item: column for column, item in enumerate(ids)}
    found = np.full((len(evaluations), len(ids)), np.nan)
    for row, evaluation in enumerate(evaluations):
        for result in evaluation.results if _is_measured(evaluation) else ():
            found[row, place[result.item]] = result.score
    return found


def rounded(value: float) -> float | None:
    """Return a value as JSON and people can read it: six digits, None for none."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
