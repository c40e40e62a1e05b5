"""What lm-eval's metrics say of single documents and of sets of them, as plain numbers.

Most metrics of a set are means over its documents. Others (F1, MCC, perplexity, ...) are made of
all of them together: of each document the raw values are kept, as `f1.0` and `f1.1`, out of which
lm-eval's own aggregation makes the metric of any set.
"""

import logging
import math
import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np

from evoforge.errors import ConfigError

log = logging.getLogger(__name__)

Aggregation = Callable[[Sequence[Any]], Any]


class Measures:
    """The metrics of one task of lm-eval.

    Args:
        task: lm-eval's task object.
        name: of the task.
        metric: the main metric, alone or with its filter as lm-eval writes it (`acc,none`); None
            for the task's first that is a mean.
        filter_: which of the task's filters the main metric is taken after; None for its first.

    Raises:
        ConfigError: there is no such metric or filter, or a set's score is not the mean of its
            documents'.
    """

    def __init__(self, task: Any, name: str, metric: str | None, filter_: str | None) -> None:
        self._task = task
        self._name = name
        filters = [ensemble.name for ensemble in task._filters]
        if metric is not None and "," in metric:
            metric, _, filter_ = metric.partition(",")
        if filter_ is not None and filter_ not in filters:
            raise ConfigError(
                f"filter of {name} must be one of {', '.join(filters)}, got {filter_}; "
                "set task.filter"
            )
        self.filter = filter_ or filters[0]
        self.main = self._first() if metric is None else metric
        known = task.aggregation()
        made_late = task.get_config("process_results") or any(map(callable, known))
        if self.main not in known and not made_late:
            raise ConfigError(
                f"metric of {name} must be one of {', '.join(known)}, got {self.main}; "
                "set task.metric"
            )
        if not self._is_mean(self.main):
            means = [each for each in known if self._is_mean(each)]
            instead = f"one of {', '.join(means)}" if means else "the mean of another metric"
            raise ConfigError(
                f"metric of {name} must be a mean over its documents, which {self.main} is not; "
                f"set task.metric to {instead} ({self.main} is reported all the same)"
            )

    def _first(self) -> str:
        """Return the first metric that is a mean, or else the first."""
        names = [str(name) for name in self._task.aggregation()]
        return next(filter(self._is_mean, names), names[0])

    @property
    def higher_is_better(self) -> bool:
        """The main metric's direction."""
        return bool(self._task.higher_is_better().get(self.main, True))

    @cached_property
    def _means(self) -> tuple[Aggregation, ...]:
        from lm_eval.api.registry import get_aggregation

        own = [get_aggregation(name) for name in ("mean", "nanmean", "brier_score")]
        return (*own, np.mean, np.nanmean, statistics.mean, statistics.fmean)

    @cached_property
    def _per_byte(self) -> Aggregation:
        from lm_eval.api.registry import get_aggregation

        found: Aggregation = get_aggregation("bits_per_byte")
        return found

    def _is_mean(self, metric: str) -> bool:
        """Whether a set's metric is the mean over its documents, weighted by bytes if need be."""
        found = self._aggregation(metric)
        return found in self._means or found == self._per_byte

    def _aggregation(self, metric: str) -> Aggregation:
        from lm_eval.api.registry import get_aggregation

        # As lm-eval does with metrics that are not in the list.
        found: Aggregation = self._task.aggregation().get(metric) or get_aggregation("mean")
        return found

    def weight(self, content: Any) -> float:
        """Return what a document counts in its task's score: 1, or its bytes."""
        if self._aggregation(self.main) != self._per_byte:
            return 1.0
        # How many bytes lm-eval counts does not depend on the likelihood.
        return float(self._task.process_results(content, (0.0,))[self.main][1])

    def of_document(self, content: Any, instances: Sequence[Any]) -> dict[str, float]:
        """Return the numbers of one document that was answered.

        Args:
            content: the document.
            instances: lm-eval's, with their responses.

        Raises:
            ConfigError: the main metric is not among them.
        """
        for ensemble in self._task._filters:
            ensemble.apply(instances)
        numbers: dict[str, float] = {}
        for name in instances[0].filtered_resps:
            responses = [instance.filtered_resps[name] for instance in instances]
            for metric, value in self._task.process_results(content, responses).items():
                label = metric if name == self.filter else f"{metric},{name}"
                numbers |= self._numbers(str(metric), label, value)
        if self.main not in numbers:
            raise ConfigError(
                f"{self._name} gave no {self.main} (it gave {', '.join(numbers)}); set task.metric"
            )
        return numbers

    def _numbers(self, metric: str, label: str, value: Any) -> dict[str, float]:
        found = self._aggregation(metric)
        if found in self._means or (found == self._per_byte and label == self.main):
            number = found([value]) if value is not None else math.nan
            return {label: float(number)} if isinstance(number, Real) else {}
        raw = list(value) if isinstance(value, list | tuple) else [value]
        if not all(isinstance(each, Real) for each in raw):
            self._say_once(metric)
            return {}
        return {f"{label}.{place}": float(each) for place, each in enumerate(raw)}

    def _say_once(self, metric: str) -> None:
        if metric not in self._unreported:
            self._unreported.add(metric)
            log.warning("%s of %s is not reported: it is not made of numbers", metric, self._name)

    @cached_property
    def _unreported(self) -> set[str]:
        return set()

    def of_set(self, documents: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Return the metrics of a set of documents, from what `of_document` said of each.

        The main metric is the plain mean here, whatever the documents weigh.
        """
        found: dict[str, float] = {}
        for label in {label: None for each in documents for label in each}:
            base, _, place = label.rpartition(".")
            if base and place == "0":
                found[base] = self._of_raw(base, documents)
            elif not (base and place.isdigit()):
                values = [each[label] for each in documents if label in each]
                known = [value for value in values if not math.isnan(value)]
                found[label] = statistics.fmean(known) if known else math.nan
        return found

    def _of_raw(self, label: str, documents: Sequence[Mapping[str, float]]) -> float:
        values = []
        for each in documents:
            raw = [each[key] for place in range(len(each)) if (key := f"{label}.{place}") in each]
            if raw:
                values.append(tuple(map(_whole, raw)) if len(raw) > 1 else raw[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # F1 and MCC of a set with one class
            return float(self._aggregation(label.split(",")[0])(values))


def _whole(value: float) -> float | int:
    """Return class numbers as the integers that they were."""
    return int(value) if value.is_integer() else value
