"""Several tasks at once: one score made of theirs, and tasks that must not fall below a score.

Knows tasks as such; does not know what kinds they are.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evoforge.errors import ConfigError
from evoforge.task.base import PARTS, Item, Judgement, Part, Task
from evoforge.task.request import Request, Response

# What each metric's scores lie between, as far as it is known.
JUDGED = ("acc", "exact_match", "rouge2", "rougel")
UNIT = (*JUDGED, *(f"{metric}_lang" for metric in JUDGED), "lang", "balanced_acc", "probability")
BOUNDS: Mapping[str, tuple[float, float]] = {**dict.fromkeys(UNIT, (0.0, 1.0)), "mcc": (-1.0, 1.0)}


class Suite(Task):
    r"""Several tasks; the score is the weighted mean of theirs.

    A task in `least` must not fall below a score, whatever its weight. A candidate that breaks none
    of these limits has its score as fitness; one that breaks some is worse than every one that does
    not, and the worse the more it breaks them:

        fitness = s                       if v = 0
        fitness = (lowest s there is) - v else,    v = \sum_t \max(0, least_t - s_t)

    Scores of tasks where lower is better count negatively, and `least` is then the highest score.
    Items are called `TASK/id`, and stand mixed so that any first part of them holds its share of
    each task. Metrics: `score`, each task's as `TASK/metric`, and `violation` (v) with limits.

    Args:
        name: what the suite is called in tables.
        tasks: name -> what makes a task, or a suite.
        weights: name -> how much a task counts, 0 or more; 1 for those not named.
        least: name -> the least score a task may have.

    Raises:
        ConfigError: an option makes no sense, a task cannot be made, a limit is on a metric whose
            bounds are not known, or an item that one task searches on is tested by another.

    Reference:
        Deb 2000, An efficient constraint handling method for genetic algorithms,
        https://doi.org/10.1016/S0045-7825(99)00389-8 (the rule for candidates that break limits)
    """

    def __init__(
        self,
        *,
        name: str,
        tasks: Mapping[str, Callable[[], Task]],
        weights: Mapping[str, float] | None = None,
        least: Mapping[str, float] | None = None,
    ) -> None:
        _check_names(tasks, weights or {}, least or {})
        self.tasks = {key: _made(key, maker) for key, maker in tasks.items()}
        self.task_weights = {key: float((weights or {}).get(key, 1)) for key in tasks}
        if not any(self.task_weights.values()):
            raise ConfigError("a task of the suite must have a weight above 0; set task.weights")
        self.least = {key: float(limit) for key, limit in (least or {}).items()}
        for key in self.least:
            _check_limit(key, self.least[key], bounds(self.tasks[key]))
        self._bounds = bounds(self)
        if self.least and self._bounds is None:
            raise ConfigError(
                "limits need scores in known bounds, but those of "
                f"{', '.join(k for k, t in self.tasks.items() if bounds(t) is None)} are not: "
                "choose another metric there, or leave out task.least"
            )
        super().__init__(name=name, items=_Joined(self.tasks))
        self._inner = {
            f"{key}/{item.id}": item
            for key, task in self.tasks.items()
            for part in PARTS
            for item in task.items(part)
        }
        self._parts = {
            part: tuple(self._with_stratum(item) for item in items)
            for part, items in self._parts.items()
        }

    def _with_stratum(self, item: Item) -> Item:
        """Say of which task an item is, so that samples hold as many of each."""
        inner = self._inner[item.id].stratum
        return replace(item, stratum="/".join(filter(None, (_key(item), inner))))

    @property
    def metric(self) -> str:
        """The weighted mean of the tasks' scores, `score`."""
        return "score"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Each task's, and how they are put together."""
        given = {key: task.settings for key, task in self.tasks.items()}
        search = {key: own["search"] for key, own in given.items() if "search" in own}
        return {**self._described(given), **({"search": search} if search else {})}

    def protocol(self, part: Part) -> Mapping[str, Any]:
        """Return the settings that hold in a part."""
        return self._described({key: task.protocol(part) for key, task in self.tasks.items()})

    def _described(self, tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        return {
            "task": self.name,
            "kind": "suite",
            "tasks": {key: dict(settings) for key, settings in tasks.items()},
            "weights": self.task_weights,
            "least": self.least,
            "metric": self.metric,
        }

    def prepare(self, tokenizer: Any) -> None:
        """Tell every task which tokenizer the models have."""
        super().prepare(tokenizer)
        for task in self.tasks.values():
            task.prepare(tokenizer)

    def request(self, item: Item) -> Request:
        """Return what the item's own task asks."""
        return self._task(item).request(self._inner[item.id])

    def score(self, item: Item, response: Response) -> dict[str, float]:
        """Return the metrics of the item's own task as `TASK/metric`, and its main one as `score`.

        Where lower is better, `score` is negative.
        """
        key, task = _key(item), self._task(item)
        found = task.score(self._inner[item.id], response)
        own = {f"{key}/{metric}": value for metric, value in found.items()}
        return {"score": _signed(task, found[task.metric]), **own}

    def weights(self, items: Sequence[Item]) -> tuple[float, ...]:
        """Return what each item counts: its task's weight times its weight among that task's.

        Tasks that a set has no item of are left out; if only tasks of weight 0 are left, all of
        them count the same.
        """
        groups = self._groups(items)
        shares = {key: self.task_weights[key] for key in groups}
        if not any(shares.values()):
            shares = dict.fromkeys(groups, 1.0)
        total = sum(shares.values())
        found = [0.0] * len(items)
        for key, places in groups.items():
            own = self.tasks[key].weights([self._inner[items[i].id] for i in places])
            for place, weight in zip(places, own, strict=True):
                found[place] = shares[key] / total * weight
        return tuple(found)

    def judge(self, items: Sequence[Item], metrics: Sequence[Mapping[str, float]]) -> Judgement:
        """Return what responses are worth together, and by how much they break the limits."""
        own: dict[str, float] = {}
        violation = 0.0
        for key, places in self._groups(items).items():
            judged = self._judged(key, [items[i] for i in places], [metrics[i] for i in places])
            own.update({f"{key}/{name}": value for name, value in judged.metrics.items()})
            if key in self.least:
                limit = _signed(self.tasks[key], self.least[key])
                violation += max(0.0, limit - _signed(self.tasks[key], judged.score))
        weights = self.weights(items)
        score = sum(w * found["score"] for w, found in zip(weights, metrics, strict=True))
        fitness = score
        if violation > 0:
            assert self._bounds is not None
            fitness = self._bounds[0] - violation
        broken = {"violation": violation} if self.least else {}
        return Judgement(score, fitness, {"score": score, **broken, **own})

    def _judged(
        self, key: str, items: Sequence[Item], metrics: Sequence[Mapping[str, float]]
    ) -> Judgement:
        stripped = [
            {n.removeprefix(f"{key}/"): v for n, v in found.items() if n.startswith(f"{key}/")}
            for found in metrics
        ]
        return self.tasks[key].judge([self._inner[item.id] for item in items], stripped)

    def _groups(self, items: Sequence[Item]) -> dict[str, list[int]]:
        """Return the places of each task's items in a set."""
        found: dict[str, list[int]] = {}
        for place, item in enumerate(items):
            found.setdefault(_key(item), []).append(place)
        return found

    def _task(self, item: Item) -> Task:
        return self.tasks[_key(item)]


@dataclass(frozen=True)
class _Joined:
    """The items of several tasks as one source of items."""

    tasks: Mapping[str, Task]

    def rows(self, part: str) -> list[dict[str, Any]]:
        """Return the rows of a part, of all tasks in turn, as many of each as its share."""
        placed = []
        for order, (key, task) in enumerate(self.tasks.items()):
            items = task.items(part)  # type: ignore[arg-type]
            placed += [((i + 0.5) / len(items), order, _row(key, it)) for i, it in enumerate(items)]
        return [row for _, _, row in sorted(placed, key=lambda each: each[:2])]


def _row(key: str, item: Item) -> dict[str, Any]:
    return {
        **item.fields,
        "id": f"{key}/{item.id}",
        "question": item.question,
        "answers": list(item.answers),
        "answer_number": item.answer_number,
        "choices": list(item.choices),
        "label": item.label,
        "image": item.picture,
    }


def bounds(task: Task) -> tuple[float, float] | None:
    """Return what a task's fitness lies between, or None where nobody knows."""
    if isinstance(task, Suite):
        found = [bounds(t) for k, t in task.tasks.items() if task.task_weights[k]]
        known = [each for each in found if each is not None]
        if len(known) < len(found):
            return None
        return min(low for low, _ in known), max(high for _, high in known)
    given = BOUNDS.get(task.metric)
    if given is None or task.higher_is_better:
        return given
    return -given[1], -given[0]


def _key(item: Item) -> str:
    return item.id.partition("/")[0]


def _signed(task: Task, score: float) -> float:
    return score if task.higher_is_better else -score


def _made(key: str, maker: Callable[[], Task]) -> Task:
    """Make a task of the suite; what is wrong with it is said in the suite's options."""
    try:
        return maker()
    except ConfigError as error:
        text = re.sub(r"(?<![.\w])task\.", f"task.tasks.{key}.", str(error))
        raise ConfigError(f"in the task {key}: {text}") from error


def _check_names(
    tasks: Mapping[str, Any], weights: Mapping[str, float], least: Mapping[str, float]
) -> None:
    if not tasks:
        raise ConfigError("a suite needs a task; set task.tasks")
    for key in tasks:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", key):
            raise ConfigError(
                f"the name of a task must be letters, digits, - and _, got {key!r}; "
                "rename it in task.tasks"
            )
    for option, given in (("weights", weights), ("least", least)):
        if not isinstance(given, Mapping):
            raise ConfigError(f"{option} must be a mapping, got {given!r}; set task.{option}")
        for key, value in given.items():
            if key not in tasks:
                raise ConfigError(
                    f"{option} must name tasks of the suite ({', '.join(tasks)}), got {key}; "
                    f"set task.{option}"
                )
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if (
                not number
                or not abs(value) <= sys.float_info.max
                or (option == "weights" and value < 0)
            ):
                least_ = "0 or more" if option == "weights" else "a number"
                raise ConfigError(
                    f"{option} must be {least_}, got {value!r}; set task.{option}.{key}"
                )


def _check_limit(key: str, limit: float, known: tuple[float, float] | None) -> None:
    if known is None:
        raise ConfigError(
            f"a limit needs a score in known bounds, but those of {key} are not known; choose "
            f"another metric of it, or leave out task.least.{key}"
        )
    low, high = sorted(map(abs, known)) if known[1] <= 0 else known
    if not low <= limit <= high:
        raise ConfigError(
            f"least must be in [{low:g}, {high:g}], got {limit:g}; set task.least.{key}"
        )
