"""Runs that differ in their seed alone, and what they come to together.

Knows compared runs; draws nothing.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from evoforge.errors import ConfigError
from evoforge.report.difference import SEED, Settings
from evoforge.report.over_seeds import Line, line
from evoforge.report.ranks import Ranking, ranking
from evoforge.report.runs import Comparison, Run
from evoforge.report.summary import higher

log = logging.getLogger(__name__)


def grouped(found: Comparison) -> dict[str, list[tuple[str, Run]]]:
    """Return runs by their settings without the seed: label -> [(seed, run)]."""
    groups: dict[str, list[tuple[str, Run]]] = {}
    for run, settings, label in zip(found.runs, found.settings, _labels(found), strict=True):
        seed = settings.get(SEED)
        own = run.name if seed is None else f"seed {seed}"
        groups.setdefault(label, []).append((own, run))
    return groups


def _labels(found: Comparison) -> list[str]:
    """Return for each run what it is called by but for its seed."""
    names = found.names
    own = [{name: settings[name] for name in names} for settings in found.settings]
    labels = [_label(settings, nothing=False) for settings in own]
    whole = [_label(settings, nothing=True) for settings in own]
    # What a run does not have is said only where it tells runs apart.
    labels = labels if len(set(labels)) == len(set(whole)) else whole
    for index, (run, settings) in enumerate(zip(found.runs, found.settings, strict=True)):
        parts = [(key, value) for key, value in settings.items() if key != SEED]
        if all(value is None for _, value in parts):
            labels[index] = "all runs" if run.result and not parts else run.name
    return labels


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


def ranked(found: Comparison, by: Sequence[str] = (), against: str | None = None) -> Ranking | None:
    """Rank groups over blocks by their winners' test scores; None where there is nothing to rank.

    A block is a seed, and what else runs differ in beside the settings that are ranked: a task, or
    a merge where optimizers are ranked. All in one block were judged on the same test items.

    Args:
        found: the runs.
        by: names of the settings that are ranked; empty: all but the seed and the task.
        against: a group, or what names one of them alone; see `ranks.ranking`.

    Raises:
        ConfigError: there is no such setting or group.
    """
    names = found.names
    beside = [key for key in _beside(found, by) if key in (*names, SEED)]
    chosen = by or [key for key in names if key not in beside]
    # Where nothing but the seed is beside, groups are those of the curves.
    whole = None if by or len(beside) > 1 else _labels(found)
    scores: dict[str, dict[str, list[float]]] = {}
    for index, (run, settings) in enumerate(zip(found.runs, found.settings, strict=True)):
        if run.result is None or run.test is None:
            continue
        group = _label({key: settings[key] for key in chosen}, nothing=False)
        block = _block(found, run, {key: settings.get(key) for key in beside})
        score = run.test["score"] * (1 if higher(run.result) else -1)
        own = scores.setdefault(whole[index] if whole else group, {})
        own.setdefault(block, []).append(score)
    cells = {g: {b: fmean(s) for b, s in own.items()} for g, own in scores.items()}
    ranks = ranking(cells, None if against is None else _named(against, list(cells)))
    if ranks is None and (by or against):
        log.warning("nothing is ranked: no two groups have a test score in two blocks in common")
    if ranks is not None and any(run.result and not higher(run.result) for run in found.runs):
        return replace(ranks, means=-ranks.means)
    return ranks


def _beside(found: Comparison, by: Sequence[str]) -> list[str]:
    """Return the settings that make blocks, the seed last.

    Not among them is what follows from the settings that are ranked, such as the population that
    an optimizer has by default.
    """
    names = [name for name in found.settings[0] if name != SEED]
    if missing := [name for name in by if name not in names]:
        known = ", ".join(names) or "none, as they differ in nothing but the seed"
        raise ConfigError(f"the runs do not differ in {missing[0]}; --by takes one of: {known}")
    pairs = zip(found.runs, found.settings, strict=True)
    runs = [(run.judged_by, settings) for run, settings in pairs if run.judged_by is not None]
    own = [settings for _, settings in runs]
    if by:
        factors = [tuple(str(settings[name]) for name in by) for settings in own]
        kept = [n for n in names if n not in by and not _follows(n, factors, own)]
    else:
        # What tells tasks apart is nothing to be ranked.
        tasks = [kind for kind, _ in runs]
        kept = [n for n in names if len(set(tasks)) > 1 and _follows(n, tasks, own)]
    return [*kept, SEED]


def _block(found: Comparison, run: Run, settings: Settings) -> str:
    """Return what a block is called; another one for each protocol and set of test items."""
    seed = settings.get(SEED)
    said = [_label(settings, nothing=False), "" if seed is None else f"seed {seed}"]
    others = [other.judged_by for other in found.runs if other.name in found.odd]
    if run.name in found.odd:
        said.append(f"judged otherwise ({1 + list(dict.fromkeys(others)).index(run.judged_by)})")
    return ", ".join(filter(None, said)) or "all runs"


def _follows(name: str, keys: Sequence[object], settings: Sequence[Settings]) -> bool:
    """Whether a setting is the same in all runs that share a key."""
    values: dict[object, set[str]] = {}
    for key, own in zip(keys, settings, strict=True):
        values.setdefault(key, set()).add(str(own[name]))
    return all(len(each) == 1 for each in values.values())


def _named(against: str, groups: Sequence[str]) -> str:
    """Return the group that a name means."""
    parts = [group for group in groups if against in group.split(", ")]
    fitting = [against] if against in groups else parts
    if len(fitting) != 1:
        what = f"{len(fitting)} groups have" if fitting else "no group has"
        raise ConfigError(
            f"{what} the name {against} and a test score; --against takes one of: "
            f"{'; '.join(groups) or 'none'}"
        )
    return fitting[0]


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
    return not isinstance(value, str) or value.startswith("[")
