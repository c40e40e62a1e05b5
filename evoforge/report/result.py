"""The outcome of a run as plain JSON: `result.json`, from which tables and model cards are made.

Reads the record and nothing else; a run that is not finished has a result too, with gaps.
"""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evoforge.errors import JournalError
from evoforge.path import hops, statistics, written
from evoforge.record import BASELINE, WINNER, Evaluation, Record
from evoforge.report.curse import curse
from evoforge.report.front import front
from evoforge.report.history import History, higher, histories
from evoforge.report.protocol import capped
from evoforge.report.spending import items_by_asker
from evoforge.report.statistics import holm, interval, paired

PARTS = ("search", "select", "test")
FILE = "result.json"
# In the folder of the exported model.
ROUNDING = "rounding.json"
# Why an answer ended that came to the limit.
LENGTH = "length"

log = logging.getLogger(__name__)


def write(record: Record) -> dict[str, Any]:
    """Make `result.json` in the run folder; return its content.

    Raises:
        JournalError: the folder cannot be written.
    """
    result = build(record)
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    replace(record.folder / FILE, text)
    return result


def build(record: Record) -> dict[str, Any]:
    """Return the content of `result.json`; scores are in task units, 0 to 1."""
    judged = _judged(record)
    won = judged.pop(WINNER, None)
    names = [name for name in judged if name.startswith(BASELINE)]
    seconds, stages, protocol = _seconds(record), histories(record), _protocol(record)
    short = tuple(capped(protocol))
    entries = {name: _entry(record, parts, short) for name, parts in judged.items()}
    return {
        "status": status(record),
        "winner": None if won is None else _winner(record, won, stages, short),
        "baselines": {name.removeprefix(BASELINE): entries[name] for name in names},
        "paired": _all_paired(record, won, {n.removeprefix(BASELINE): judged[n] for n in names}),
        "seconds": seconds,
        # (score + other) / (total - load): what evoforge itself costs.
        "share_neither_merging_nor_generating": _share(seconds),
        "counts": _counts(record, stages),
        "stages": {name: _stage(info, stages, name) for name, info in record.stages().items()},
        "protocol": protocol,
        "sources": fact(record, "sources") or [],
        "seed": fact(record, "seed"),
        "versions": fact(record, "versions") or {},
        "rounding": _rounding(record),
        # Of a search for several goals: its members by name, see `evoforge.report.front`.
        "front": None if (found := front(record)) is None else found.content,
    }


def instead(record: Record, key: str) -> dict[str, Any]:
    """Return the result with another recipe in the place of the winner, as far as it was scored.

    Args:
        record: of the run.
        key: the hash of the recipe of a candidate or a finalist.
    """
    found = build(record)
    if found["winner"] is not None and found["winner"]["recipe"] == key:
        return found
    parts: dict[str, Evaluation] = {}
    for (_, part), number in record.roles().items():
        evaluation = record.evaluation(number, with_items=True)
        if evaluation.recipe == key:
            parts.setdefault(part, evaluation)
    asked = [c.evaluation for c in record.candidates(genomes=False) if c.recipe == key]
    if "search" not in parts and (numbers := [number for number in asked if number is not None]):
        parts["search"] = record.evaluation(numbers[0], with_items=True)
    short = tuple(capped(_protocol(record)))
    entry = _entry(record, parts, short) | {"curse": None} | _path(record, parts)
    return found | {"winner": entry, "paired": dict.fromkeys(found["paired"])}


def _rounding(record: Record) -> dict[str, Any] | None:
    """Return what the exported model says of its own rounding; None if it says nothing."""
    path = record.folder / "model" / ROUNDING
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def status(record: Record) -> str:
    """Return `finished`, `failed` (no candidate could be scored) or `unfinished`."""
    if record.finished:
        return "finished"
    count = record.count("evaluations")
    return "failed" if count and record.count("failures") == count else "unfinished"


def fact(record: Record, key: str) -> Any:
    """Return a fact of the run that is JSON, or its text if it is not; None if it is missing."""
    try:
        text = record.meta(key)
    except KeyError:
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def replace(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all.

    Raises:
        JournalError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise JournalError(f"cannot write {path}: {error.strerror}") from error


def _judged(record: Record) -> dict[str, dict[str, Evaluation]]:
    """Return the evaluations of the winner and the baselines: name -> part -> evaluation."""
    found: dict[str, dict[str, Evaluation]] = {}
    for (name, part), number in record.roles().items():
        if name == WINNER or name.startswith(BASELINE):
            found.setdefault(name, {})[part] = record.evaluation(number, with_items=True)
    return found


def _entry(
    record: Record, parts: Mapping[str, Evaluation], short: tuple[str, ...]
) -> dict[str, Any]:
    entry: dict[str, Any] = {"recipe": next(iter(parts.values())).recipe}
    entry |= {part: _score(record, parts.get(part), short) for part in PARTS}
    failures = {part: e.reason for part, e in parts.items() if e.status != "ok"}
    return entry | ({"failures": failures} if failures else {})


def _winner(
    record: Record, won: Mapping[str, Evaluation], stages: list[History], short: tuple[str, ...]
) -> dict[str, Any]:
    entry = _entry(record, won, short)
    return entry | {"curse": curse(record, stages, won, entry["test"])} | _path(record, won)


def _path(record: Record, won: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Return the winner's path through layers as an entry, nothing if it has none."""
    found = hops(record.recipe(next(iter(won.values())).recipe).content)
    return {"path": {"hops": written(found), "statistics": statistics(found)}} if found else {}


def _score(
    record: Record, evaluation: Evaluation | None, short: tuple[str, ...]
) -> dict[str, Any] | None:
    """Return a score with its interval and what it was made of; None if there is none.

    Args:
        record: the run.
        evaluation: with its items.
        short: what the ids of items begin with whose answers are cut at the gold one's length.
    """
    if evaluation is None or evaluation.status != "ok" or not evaluation.results:
        return None
    weights = record.weights(evaluation.item_set)
    found = interval([result.score for result in evaluation.results], weights)
    content = {**found._asdict(), "items": len(evaluation.results), "set": evaluation.item_set}
    # Only written answers say why they ended.
    ends = [r.reason for r in evaluation.results if r.reason and not r.item.startswith(short)]
    if ends:
        content["over_length"] = ends.count(LENGTH) / len(ends)
    if (counted := sum(weight > 0 for weight in weights)) < len(weights):
        content["counted"] = counted
    metrics = dict(evaluation.metrics)
    return content | ({"metrics": metrics} if len(metrics) > 1 else {})


def _all_paired(
    record: Record,
    won: Mapping[str, Evaluation] | None,
    baselines: Mapping[str, Mapping[str, Evaluation]],
) -> dict[str, dict[str, Any] | None]:
    """Return the winner less each baseline, with p-values also as several tests want them."""
    found = {name: _paired(record, won, parts) for name, parts in baselines.items()}
    corrected = holm({name: each["p"] for name, each in found.items() if each is not None})
    return {
        name: None if each is None else {**each, "p_holm": corrected[name]}
        for name, each in found.items()
    }


def _paired(
    record: Record, won: Mapping[str, Evaluation] | None, baseline: Mapping[str, Evaluation]
) -> dict[str, Any] | None:
    """Return the winner less a baseline on the test items; None if either has no score there."""
    first, second = (won or {}).get("test"), baseline.get("test")
    if first is None or second is None or not (first.results and second.results):
        return None
    if first.status != "ok" or second.status != "ok":
        return None
    ids, weights = record.items(first.item_set), record.weights(first.item_set)
    try:
        found = paired(first.results, second.results, dict(zip(ids, weights, strict=True)))
    except ValueError as error:
        log.warning("no paired test: %s", error)
        return None
    return dict(vars(found))


def _protocol(record: Record) -> dict[str, Any]:
    protocol = fact(record, "protocol")
    protocol = protocol if isinstance(protocol, dict) else {}
    return {"name": protocol.get("task", "unnamed"), "hash": None} | protocol


def _seconds(record: Record) -> dict[str, float]:
    phases = {phase: round(value, 3) for phase, value in record.seconds().items()}
    return phases | {"total": round(sum(phases.values()), 3)}


def _share(seconds: Mapping[str, float]) -> float | None:
    running = seconds["total"] - seconds["load"]
    return round((seconds["score"] + seconds["other"]) / running, 4) if running > 0 else None


def _counts(record: Record, stages: list[History]) -> dict[str, int]:
    return {
        **{f"items_{asker}": count for asker, count in items_by_asker(record).items()},
        "evaluations": record.count("evaluations"),
        "items": record.count("items"),
        "cache_hits": record.count("hits"),
        "failures": record.count("failures"),
        "candidates": sum(len(history.candidates) for history in stages),
    }


def _stage(info: Mapping[str, Any], stages: list[History], name: str) -> dict[str, Any]:
    facts = {key: info.get(key) for key in ("merge", "optimizer", "population", "metric")}
    facts |= {"direction": "max" if higher(info) else "min", "genes": len(info.get("names", ()))}
    facts |= {"budget": {key: info.get(key) for key in ("evaluations", "minutes")}}
    # Runs from before there was a choice do not say.
    facts |= {"schedule": info.get("schedule", "generational")}
    done = next((history for history in stages if history.stage == name), None)
    if done is None:
        return facts | {"evaluations": 0, "generations": 0, "screened": 0, "best": None}
    best = float(done.best[-1])
    return facts | {
        "evaluations": sum(not candidate.cached for candidate in done.candidates),
        "generations": len(done.split()),
        "screened": int(done.screened.sum()),
        "best": None if best != best else best,
    }
