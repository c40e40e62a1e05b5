"""Runs that differ in their seed alone, and what they come to together.

Knows compared runs; draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from evoforge.report.difference import SEED
from evoforge.report.over_seeds import Line, line

if TYPE_CHECKING:
    from evoforge.report.compare import Comparison, Run


def grouped(found: Comparison) -> dict[str, list[tuple[str, Run]]]:
    """Return runs by their settings without the seed: label -> [(seed, run)]."""
    groups: dict[str, list[tuple[str, Run]]] = {}
    labels = [_label(settings, nothing=False) for settings in found.settings]
    whole = [_label(settings, nothing=True) for settings in found.settings]
    # What a run does not have is said only where it tells runs apart.
    labels = labels if len(set(labels)) == len(set(whole)) else whole
    for run, settings, label in zip(found.runs, found.settings, labels, strict=True):
        parts = [(key, value) for key, value in settings.items() if key != SEED]
        given = [value for _, value in parts if value is not None]
        if not given:
            label = "all runs" if run.result and not parts else run.name
        seed = settings.get(SEED)
        own = run.name if seed is None else f"seed {seed}"
        groups.setdefault(label, []).append((own, run))
    return groups


def over_seeds(found: Comparison) -> list[Line]:
    """Return a row for each group of several runs with a comparable test score; see `Line`."""
    rows = []
    for label, members in grouped(found).items():
        runs = [run for _, run in members if run.name not in found.odd]
        answers = [run.answers for run in runs if run.answers is not None]
        if len(answers) > 1:
            weights = answers[0].weights
            rows.append(line(label, [own.results for own in answers], weights=weights))
    return rows


def content(row: Line) -> dict[str, Any]:
    """Return a row as JSON values."""
    ends = {"score": row.score, "low": row.low, "high": row.high, "se": row.se}
    return {"label": row.label, **ends, "seeds": list(row.seeds), "se_seeds": row.se_seeds}


def _label(settings: Mapping[str, Any], *, nothing: bool) -> str:
    shown = [
        f"{key} {value}" if _bare(value) else str(value)
        for key, value in settings.items()
        if key != SEED and (nothing or value is not None)
    ]
    return ", ".join(shown)


def _bare(value: object) -> bool:
    """Whether a value says nothing without its key."""
    return value is None or not isinstance(value, str)
