"""Weights & Biases: one W&B run that mirrors one search, offline when there is no account.

The run keeps its id over resumes and every time all of the journal is logged again: under the same
id W&B puts the new copy in the place of the old one, so nothing is there twice. A thread talks to
W&B, so the search never waits for the network. W&B gets records, a configuration without secrets
and, unless it is told not to, a few examples; it never sees models, other items or other answers.
"""

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

from evoforge import showcase
from evoforge.errors import ConfigError
from evoforge.recipe import digest
from evoforge.record import Record
from evoforge.secrets import redact
from evoforge.tracker import _names, _rows
from evoforge.tracker._courier import Courier
from evoforge.tracker._genomes import genomes
from evoforge.tracker._lineage import Lineage
from evoforge.tracker._wandb_run import WandbRun
from evoforge.tracker.base import Progress, Scored, Staged, Status, Told, Tracker

log = logging.getLogger(__name__)

Mode = Literal["auto", "online", "offline", "disabled"]
MODES = get_args(Mode)
EXIT_CODES: Mapping[Status, int] = {"finished": 0, "failed": 1, "interrupted": 255}
GRACE = 5.0  # seconds, to hand over what is left before the server's own time begins


class Wandb(Tracker):
    """Mirrors a run in Weights & Biases.

    Args:
        project: W&B project.
        entity: W&B user or team; None for the account's default.
        mode: `auto` (online with an API key, else offline), `online`, `offline` or `disabled`.
        group: W&B group, such as the name of a sweep; None for one that the seeds of a search
            share: merge, task, optimizer, and what was changed.
        name: name of the W&B run; None for the same and the seed.
        tags: besides merge, task, optimizer and sweep.
        max_genes: longer genomes go into a file at the end, not into charts and tables.
        examples: whether the test items that are kept to be shown, with their pictures and the
            answers to them, are logged too.
        timeout: seconds for the server to answer at the start, and again at the end; the run
            waits only at the end.

    Raises:
        ConfigError: an option is out of its range.
    """

    def __init__(
        self,
        *,
        project: str = "evoforge",
        entity: str | None = None,
        mode: Mode = "auto",
        group: str | None = None,
        name: str | None = None,
        tags: Sequence[str] = (),
        max_genes: int = 200,
        examples: bool = True,
        timeout: float = 20.0,
    ) -> None:
        if mode not in MODES:
            raise ConfigError(
                f"mode must be one of {', '.join(MODES)}, got {mode}; set tracker.wandb.mode"
            )
        if timeout <= 0:
            raise ConfigError(f"timeout must be above 0, got {timeout}; set tracker.wandb.timeout")
        if max_genes < 0:
            raise ConfigError(
                f"max_genes must not be negative, got {max_genes}; set tracker.wandb.max_genes"
            )
        self._options = {"project": project, "entity": entity, "group": group}
        self._mode = mode
        self._name = name
        self._tags = tuple(tags)
        self._max_genes = max_genes
        self._examples = examples
        self._timeout = timeout
        self._courier: Courier | None = None

    def start(self, record: Record) -> None:
        """Open the W&B run and log everything that is recorded so far."""
        mode = os.environ.get("WANDB_MODE", self._mode) if self._mode == "auto" else self._mode
        if mode == "disabled":
            return
        self._record = record
        self._progress = Progress(record)
        self._lineage = Lineage(record)
        self._held: Told | None = None
        self._stages: dict[str, Any] = {}
        self._genes = 0
        self._run = WandbRun(mode, self._timeout, self._given(record))
        self._courier = Courier("wandb")
        self._courier.send(self._run.open)
        self._log_news(self._courier, replayed=True)

    def update(self) -> None:
        """Log what is new: a row a candidate, a row and a piece of the table a generation."""
        if self._courier is not None:
            self._log_news(self._courier, replayed=False)

    def finish(self, status: Status, result: Mapping[str, Any] | None) -> None:
        """Log the result, with the recipe and the plots as an artifact, and close the W&B run."""
        courier, self._courier = self._courier, None
        if courier is None:
            return
        done = False
        try:
            self._log_news(courier, replayed=False)
            self._log_held(courier, False)
            self._log_result(courier, status, result)
        finally:
            close = partial(self._run.close, EXIT_CODES[status])
            done = courier.close(close, timeout=self._timeout + GRACE)
        if not done:
            log.warning(
                "W&B did not answer in time; to log the run again: python -m evoforge.relog %s",
                self._record.folder,
            )

    def _given(self, record: Record) -> dict[str, Any]:
        config = redact(_config(record))
        seed = _meta(record, "seed")
        variant = _names.variant(config, redact(_overrides(record)), record.folder)
        chosen = [_names.choice(config, noun) for noun in _names.NOUNS]
        ends = [variant, f"s{seed}" if seed else ""]
        given = {
            **self._options,
            "id": run_id(record),
            "group": self._options["group"] or variant or None,
            "name": self._name or "-".join(filter(None, ends)) or record.folder.name,
            "tags": _names.tags([*chosen, config.get("sweep_name"), *self._tags]),
            "job_type": "search",
            # Short names for tables and parallel coordinates; all that was set is under `options`.
            "config": {
                **_names.flat(config),
                **({"variant": variant} if variant else {}),
                "options": _names.shallow(config),
            },
            "dir": str(record.folder),
            # Hydra's multirun is one process: without it the second run would be the first.
            "reinit": "create_new",
        }
        # The agent of a W&B sweep has these decided already.
        decided = ("project", "entity", "id") if os.environ.get("WANDB_SWEEP_ID") else ()
        return {key: value for key, value in given.items() if key not in decided}

    def _log_news(self, courier: Courier, *, replayed: bool) -> None:
        self._log_held(courier, replayed)
        for news in self._progress.news():
            self._log_held(courier, replayed)
            if isinstance(news, Scored):
                courier.send(self._candidate(news))
            elif isinstance(news, Told):
                # What the optimizer says of itself is recorded right after this.
                self._held = news
                if news.best_so_far is not None:
                    courier.send(partial(self._run.summary, {"best": news.best_so_far}))
            elif isinstance(news, Staged):
                courier.send(self._stage(news))
            else:
                courier.send(partial(self._run.summary, _rows.named_summary(news)))

    def _log_held(self, courier: Courier, replayed: bool) -> None:
        """Log the generation that was told last, with what the optimizer says of itself."""
        told, self._held = self._held, None
        if told is None:
            return
        state = self._lineage.state(told.stage, told.generation) or {}
        row = {f"generation/{key}": v for key, v in vars(told).items() if v is not None}
        row |= {f"generation/optimizer/{name}": value for name, value in state.items()}
        courier.send(partial(self._run.generation, row, told.generation, replayed))

    def _stage(self, news: Staged) -> partial[None]:
        facts = news.facts
        self._genes += len(facts.get("names") or ())
        # All of them each time: W&B replaces a key of the configuration as a whole.
        known = _rows.stage_facts(facts, self._max_genes)
        self._stages = {**self._stages, news.name: known}
        config = {"stages": self._stages, "genes": self._genes}
        if len(self._stages) == 1 and facts.get("population"):
            config["population"] = facts["population"]  # the optimizer may have chosen it
        tags = _names.tags([facts.get("merge"), facts.get("optimizer")])
        best = "min" if facts.get("direction") == "min" else "max"
        return partial(self._run.stage, redact(config), tags, best)

    def _candidate(self, news: Scored) -> partial[None]:
        recipe = self._record.recipe(news.candidate.recipe)
        descent = self._lineage.descent(news.candidate)
        genes: dict[str, float] = {}
        row = _rows.candidate_row(news) | _rows.path_row(recipe)
        if descent is not None:
            row["operator"] = descent.operator
        if news.candidate.genome.size <= self._max_genes:
            genes = _rows.genes(news, self._progress.facts.get("names") or ())
            row |= _rows.genome_row(genes, recipe)
        line = _rows.table_line(news, genes, recipe, descent)
        named = {f"candidate/{key}": value for key, value in row.items()}
        return partial(self._run.candidate, named, news.candidate.stage, line)

    def _log_result(
        self, courier: Courier, status: Status, result: Mapping[str, Any] | None
    ) -> None:
        roles = self._record.roles()
        scores = {key: self._record.evaluation(number).score for key, number in roles.items()}
        lines = list(_rows.result_lines(result) if result else _rows.role_lines(scores))
        entries = [_rows.result_summary(line) for line in lines]
        spent = {"seconds": sum(self._record.seconds().values())}
        spent["items"] = self._record.count("items")
        courier.send(partial(self._run.summary, {"status": status, **spent}))
        for entry in entries:
            courier.send(partial(self._run.summary, entry))
        found = result or {}
        more = _rows.headline(found) | _rows.winner_summary(found) | _rows.protocol_summary(found)
        courier.send(partial(self._run.summary, more))
        courier.send(partial(self._run.results, _rows.RESULT_COLUMNS, lines))
        courier.send(self._run.charts)
        self._log_winner(courier, result)
        columns, shown = _rows.example_lines(showcase.shown(self._record) if self._examples else [])
        if shown:
            courier.send(partial(self._run.examples, columns, shown))
        # Last, because it may be large and nothing waits for it.
        files = genomes(self._record, self._max_genes)
        if files:
            courier.send(partial(self._run.arrays, "genomes", files))

    def _log_winner(self, courier: Courier, result: Mapping[str, Any] | None) -> None:
        roles = self._record.roles()
        winners = [number for (name, _), number in roles.items() if name == "winner"]
        if result is None or not winners:
            return
        texts = {
            "recipe.json": self._record.recipe(self._record.evaluation(winners[0]).recipe).text,
            "result.json": json.dumps(result, indent=2, ensure_ascii=False),
        }
        plots = sorted(self._record.folder.glob("*.png"))
        if self._examples:
            plots += sorted(self._record.folder.glob("examples.html"))
        courier.send(partial(self._run.artifact, texts, plots))


def run_id(record: Record) -> str:
    """Return the id that a run keeps in W&B, however often it is resumed or logged again."""
    given = _meta(record, "id")
    if given and re.fullmatch(r"[\w-]{1,64}", given, re.ASCII):
        return given
    return digest([given, _meta(record, "config"), str(record.folder.resolve())])[:16]


def _meta(record: Record, key: str) -> str:
    try:
        return record.meta(key)
    except KeyError:
        return ""


def _config(record: Record) -> dict[str, Any]:
    content = json.loads(_meta(record, "config") or "{}")
    return content if isinstance(content, dict) else {}


def _overrides(record: Record) -> list[str]:
    content = json.loads(_meta(record, "overrides") or "[]")
    return content if isinstance(content, list) else []
