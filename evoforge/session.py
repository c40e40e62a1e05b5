"""One run from its configuration to its exported model: what run.py does in a run folder.

Has the parts built as the configuration says, and hands them to the loop. As a library, use the
parts themselves.
"""

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evoforge import __version__, checksums, config, seal, stopping
from evoforge.assembly import Parts, assemble
from evoforge.errors import ConfigError, MergeError
from evoforge.evolve import Evolution, Winner
from evoforge.export import export
from evoforge.hub import pushing
from evoforge.journal import Journal
from evoforge.materials import check_items, check_sources, hashes, settings
from evoforge.merge.base import Mergers
from evoforge.models.preflight import preflight
from evoforge.preflight import prospect
from evoforge.recipe import canonical
from evoforge.record import FILE, WINNER, Record
from evoforge.report import card, examples, plots, preflight_table, result, table
from evoforge.report.html import run_page
from evoforge.rounding import rounding
from evoforge.showcase import questions
from evoforge.start import Starts, recorded
from evoforge.terminal import Terminal
from evoforge.tracker.base import Status
from evoforge.watch import Watch

log = logging.getLogger(__name__)

# Items whose prompts tell whether a path that is written says what the scored one did.
PROBE = 8
LIBRARIES = ("torch", "transformers", "safetensors", "numpy", "cma", "cmaes")


def run(
    cfg: Mapping[str, Any],
    folder: Path,
    overrides: Sequence[str] = (),
    *,
    started: float,
    may_exist: bool,
) -> None:
    """Do one run, going on from whatever its folder holds.

    Args:
        cfg: the whole configuration.
        folder: the run folder.
        overrides: what was given on the command line, kept for `resume`.
        started: when the process began, in seconds of `time.monotonic`, which nobody sets.
        may_exist: whether to go on with, or leave alone, what the folder holds already.

    Raises:
        EvoforgeError: the run cannot begin, or cannot go on.
    """
    parts: Parts | None = None
    if cfg["push_to_hub"] is not None:
        pushing.check_target(cfg["push_to_hub"])
    if not Journal.exists(folder):
        _refuse_foreign(folder)
        parts = assemble(cfg)
        _look(parts)
        with ExitStack() as undo:
            undo.callback(parts.executor.close)
            parts.executor.start()  # a run whose workers cannot start has not begun
            journal = Journal.create(folder, _meta(cfg, overrides, parts))
            undo.pop_all()
    elif may_exist:
        journal = Journal.resume(folder)
    else:
        raise ConfigError(f"{folder} holds a run already; go on with resume={folder}")
    try:
        record = journal.record
        over = _last_is_over(record) and not _same_budget(record, cfg["budget"])
        config.check_unchanged(record.meta("config"), cfg, folder, budget_too=over)
        if record.finished:
            log.info("%s is complete already", folder)
            refused = _restore(cfg, journal)
        else:
            if parts is None:
                parts = assemble(cfg, _starts(record))
                check_items(parts.task, journal.record)
                check_sources(parts.pool, journal.record)
            refused = _work(cfg, parts, journal, started)
        _show(journal)
        if refused is not None:
            raise refused
        if cfg["push_to_hub"] is not None:
            pushing.after_run(record, cfg["push_to_hub"])
    finally:
        if parts is not None:
            parts.executor.close()
        journal.close()


def _starts(record: Record) -> Starts:
    """Return where the searches of a run started, which is not looked for again."""
    found = result.fact(record, "starts")
    return {} if found is None else recorded(found)


def _last_is_over(record: Record) -> bool:
    """Whether the last search of a run is over, so that a budget has nothing left to decide."""
    planned = result.fact(record, "stages") or ["search"]
    return record.selecting(planned[-1])


def _same_budget(record: Record, budget: Any) -> bool:
    """Whether a budget is the one that the last search of a run ended with."""
    return bool(list(record.stages().values())[-1].get("run") == dict(budget))


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder that holds something else, which the run would write over."""
    ours = (".lock", "run.log", FILE, f"{FILE}-wal", f"{FILE}-shm", seal.SEAL)
    foreign = [p.name for p in folder.iterdir() if p.name not in ours] if folder.is_dir() else []
    if foreign:
        raise ConfigError(
            f"the run folder {folder} is not empty (it holds {min(foreign)}); "
            "set hydra.run.dir to a new folder"
        )


def outlook(cfg: Mapping[str, Any], folder: Path) -> None:
    """Print what a run would need; nothing is written, and no weights are read or fetched.

    Args:
        cfg: the whole configuration.
        folder: where the run would be written.

    Raises:
        EvoforgeError: the run could not begin.
    """
    if not isinstance(cfg["preflight"], bool):
        raise ConfigError(
            f"preflight must be true or false, got {cfg['preflight']!r}; set preflight"
        )
    Terminal().print(preflight_table.outlook(prospect(cfg, folder)))


def _look(parts: Parts) -> None:
    """Print the pre-flight table."""
    found = preflight(parts.pool, parts.merger.num_models)
    Terminal().print(preflight_table.table(found))


def _restore(cfg: Mapping[str, Any], journal: Journal) -> MergeError | None:
    """Make again what someone deleted from a complete run."""
    folder, record = journal.folder, journal.record
    recipe = record.recipe(record.evaluation(record.roles()[WINNER, "test"]).recipe)
    wanted = [*plots.names(record), *([examples.FILE] if record.examples() else [])]
    if not all((folder / name).is_file() for name in wanted):
        _draw(record)
    if (folder / "model").is_dir():
        bad = checksums.damaged(folder / "model")
        if not bad:
            return None
        log.warning("%s is not what the run wrote, so the model is made again", bad[0])
    parts = assemble(cfg, _starts(record))
    check_sources(parts.pool, journal.record)
    return _export(parts, journal, Winner(recipe, Mergers(parts.pool).build(recipe)))


def _work(
    cfg: Mapping[str, Any], parts: Parts, journal: Journal, started: float
) -> MergeError | None:
    """Search, select, test, report and export, with the trackers following.

    Returns:
        Why there is no model, if the winner could not be exported as it was scored.
    """
    load = max(0.0, time.monotonic() - started)
    journal.start_session(time.time() - load, load)
    watch = Watch(parts.pool, journal.folder)

    def check() -> None:
        stopping.check()
        watch.check()

    journal.before_commit = check
    trackers = parts.trackers
    trackers.start(journal.record)
    status: Status = "failed"
    content: dict[str, Any] | None = None
    try:
        evolution = Evolution(
            journal,
            parts.task,
            parts.executor,
            trackers.update,
            search_items=cfg["baseline_items"],
            examples=cfg["examples"],
        )
        winner = evolution.run(parts.stages, parts.baselines, cfg["finalists"])
        parts.executor.close()  # the export may need the memory that workers hold
        _draw(journal.record)
        refused = _export(parts, journal, winner)
        journal.finish()
        content = result.write(journal.record)
        status = "finished"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        parts.executor.close()
        parts.evaluator.close()
        trackers.finish(status, content)
    return refused


def _draw(record: Record) -> None:
    """Write what people look at: the pictures, and the page of examples."""
    plots.plots(record)
    examples.write(record, result.build(record))


def _export(parts: Parts, journal: Journal, winner: Winner) -> MergeError | None:
    """Write the model, which must be there before a run is complete; or say why it cannot be."""
    record = journal.record
    lost = rounding(winner.candidate, parts.pool)
    text = card.card(record, {**result.build(record), "rounding": lost})
    probe = parts.task.items("select")[:PROBE]
    try:
        export(
            winner.candidate,
            winner.recipe,
            parts.pool,
            record.folder / "model",
            card=text,
            rounding=lost,
            scored=lambda: parts.evaluator.logits(winner.candidate, probe),
            written=lambda folder: parts.evaluator.logits_of(folder, probe),
        )
    except MergeError as error:
        return error  # the evidence stands without the model
    return None


def _show(journal: Journal) -> None:
    """Print the outcome and write its page, from whatever the journal holds."""
    run_page.write(journal.record)
    Terminal().print(table.summary(journal.record, result.write(journal.record)))


def _meta(cfg: Mapping[str, Any], overrides: Sequence[str], parts: Parts) -> dict[str, str]:
    """Return the facts of a run that never change."""
    return {
        "id": uuid.uuid4().hex[:12],
        "config": canonical(cfg),
        "overrides": canonical([o for o in overrides if not o.startswith("resume=")]),
        "seed": str(cfg["seed"]),
        "stages": canonical([stage.name for stage in parts.stages]),
        "versions": canonical({"evoforge": __version__, **{n: version(n) for n in LIBRARIES}}),
        "sources": canonical([source.facts for source in parts.pool.members]),
        "tensors": canonical(hashes(parts.pool)),
        "settings": canonical(settings(parts.pool)),
        "items": parts.task.items_hash,
        "protocol": canonical(parts.task.told),
        "questions": canonical(questions(parts.task.items("test") if cfg["examples"] else ())),
        "starts": canonical({name: [s.facts for s in all_] for name, all_ in parts.starts.items()}),
    }
