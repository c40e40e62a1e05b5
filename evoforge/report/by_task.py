"""The scores of a suite's tasks, side by side.

Knows the content of `result.json`; draws nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evoforge.report.protocol import tasks

Result = Mapping[str, Any]


@dataclass(frozen=True)
class TaskRow:
    """One task of a suite.

    Args:
        task: its name.
        metric: its main metric.
        scores: by model, None where there is none.
        limit: the score that it must not fall below, if there is one.
    """

    task: str
    metric: str
    scores: Mapping[str, float | None]
    limit: float | None


def by_task(result: Result, models: Mapping[str, Mapping[str, Any]]) -> list[TaskRow]:
    """Return a row for each task of the suite that was searched on; nothing if it was none.

    Args:
        result: of the run.
        models: entries of models, as in `result.json`, by label.
    """
    protocol = result["protocol"]
    limits = _limits(protocol)
    found = []
    for name, settings in tasks(protocol).items():
        metric = str(settings.get("metric", "score"))
        scores = {
            label: ((entry["test"] or {}).get("metrics") or {}).get(f"{name}/{metric}")
            for label, entry in models.items()
        }
        if any(score is not None for score in scores.values()):
            found.append(TaskRow(name, metric, scores, limits.get(name)))
    return found


def _limits(protocol: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    found = {f"{prefix}{k}": float(v) for k, v in (protocol.get("least") or {}).items()}
    inner = protocol.get("tasks")
    for key, settings in (inner if isinstance(inner, Mapping) else {}).items():
        if isinstance(settings, Mapping):
            found |= _limits(settings, f"{prefix}{key}/")
    return found


def broken(result: Result) -> str | None:
    """Return a sentence if the winner breaks a limit of its suite on the test items."""
    won = result["winner"] or {}
    metrics = (won.get("test") or {}).get("metrics") or {}
    if not any(n.rpartition("/")[2] == "violation" and v > 0 for n, v in metrics.items()):
        return None
    said = []
    for row in by_task(result, {"winner": won}):
        score = row.scores["winner"]
        # A limit needs a metric in known bounds, and of all of these higher is better.
        if row.limit is not None and score is not None and score < row.limit:
            said.append(f"{row.task} {row.metric} {score:.3f}, the limit is {row.limit:g}")
    return f"The winner breaks a limit on the test items: {'; '.join(said) or 'see the metrics'}."
