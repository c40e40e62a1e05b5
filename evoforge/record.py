"""What a journal holds, read back: the records that trackers, reports and the search look at.

Records know genomes, hashes and results; they do not know models, tasks or optimizers.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

from evoforge import seal
from evoforge.errors import JournalError
from evoforge.evaluation import Evaluation as Evaluation
from evoforge.evaluation import ItemResult as ItemResult
from evoforge.evaluation import item_set_hash as item_set_hash
from evoforge.origin import Descent
from evoforge.recipe import Recipe, text_digest
from evoforge.rows import CandidateRecord as CandidateRecord
from evoforge.rows import Event as Event
from evoforge.rows import Example as Example
from evoforge.rows import Telling as Telling
from evoforge.schema import FILE as FILE
from evoforge.schema import FORMAT
from evoforge.space import Genome

# What evaluations are named, the first two with something behind it.
BASELINE = "baseline:"
FINALIST = "finalist:"
WINNER = "winner"
EVALUATIONS = (
    "SELECT id, recipe, protocol, item_set, status, fitness, reason, score, metrics, seconds, "
    "proxy FROM evaluations"
)


class Record:
    """Everything that is in a journal, to be read.

    Args:
        folder: the run folder.
        connection: the open journal.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._connection = connection

    @staticmethod
    def open(folder: Path) -> "Record":
        """Open a run's record to look at it, also while the run goes on.

        Raises:
            JournalError: there is none, or it is damaged.
        """
        if not (folder / FILE).is_file():
            raise JournalError(f"there is no run in {folder} (no {FILE})")
        seal.check(folder)
        uri = f"file:{quote(str((folder / FILE).resolve()))}?mode=ro"
        record = Record(folder, sqlite3.connect(uri, uri=True, timeout=10))
        record.check()
        return record

    def check(self) -> None:
        """Raise JournalError if this is not a journal that this version can read."""
        try:
            found = self.meta("format")
        except (sqlite3.DatabaseError, KeyError) as error:
            self.close()
            reason = "it names no format" if isinstance(error, KeyError) else error
            raise JournalError(f"{self.folder / FILE} is damaged: {reason}") from error
        if found != FORMAT:
            self.close()
            raise JournalError(
                f"{self.folder / FILE} has format {found}, this evoforge reads {FORMAT}; "
                "use the version that wrote it"
            )

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._connection.close()

    def meta(self, key: str) -> str:
        """Return a fact of the run; KeyError if it is not there."""
        row = self._connection.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return str(row[0])

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        row = self._connection.execute("SELECT 1 FROM meta WHERE key='finished'").fetchone()
        return row is not None

    def stages(self) -> dict[str, dict[str, Any]]:
        """Return each search's facts by its name: see `evoforge.evolve`."""
        cursor = self._connection.execute("SELECT name, info FROM stages ORDER BY rowid")
        return {name: json.loads(info) for name, info in cursor}

    def recipe(self, key: str) -> Recipe:
        """Return a recipe by its hash; JournalError if its text is another's."""
        row = self._connection.execute("SELECT text FROM recipes WHERE hash=?", (key,)).fetchone()
        if row is None or text_digest(row[0]) != key:
            raise JournalError(f"{self.folder / FILE} is damaged: recipe {key}; restore it")
        return Recipe.from_text(row[0])

    def items(self, item_set: str) -> tuple[str, ...]:
        """Return the item ids of a set, in order."""
        query = "SELECT items FROM item_sets WHERE hash=?"
        return tuple(json.loads(self._connection.execute(query, (item_set,)).fetchone()[0]))

    def weights(self, item_set: str) -> tuple[float, ...]:
        """Return what each item of a set counts in a score, in order; the sum is 1."""
        query = "SELECT weights, items FROM item_sets WHERE hash=?"
        weights, items = self._connection.execute(query, (item_set,)).fetchone()
        count = len(json.loads(items))
        return tuple(json.loads(weights)) if weights else (1 / count,) * count

    def results(self, recipe: str, protocol: str, items: Sequence[str]) -> dict[str, ItemResult]:
        """Return what is known of a recipe's answers to some items, by item.

        Args:
            recipe: the recipe's hash.
            protocol: the protocol's hash.
            items: ids; those that were never asked are left out.
        """
        cursor = self._connection.execute(
            "SELECT item, score, metrics, completion, tokens, items.reason FROM items "
            "JOIN subjects ON subjects.id = items.subject "
            "WHERE recipe=? AND protocol=? AND item IN (SELECT value FROM json_each(?))",
            (recipe, protocol, json.dumps(list(items))),
        )
        # Most items have one of a few sets of metrics: parsing each again is most of the time.
        parse = cache(json.loads)
        return {
            item: ItemResult(item, score, parse(metrics), completion, tokens, reason)
            for item, score, metrics, completion, tokens, reason in cursor
        }

    def find(self, recipe: str, protocol: str, item_set: str) -> int | None:
        """Return the number of the evaluation of this recipe on these items, if there is one."""
        row = self._connection.execute(
            "SELECT id FROM evaluations WHERE recipe=? AND protocol=? AND item_set=?",
            (recipe, protocol, item_set),
        ).fetchone()
        return None if row is None else int(row[0])

    def evaluation(self, number: int, *, with_items: bool = False) -> Evaluation:
        """Return an evaluation by its number, with or without the result of every item."""
        row = self._connection.execute(f"{EVALUATIONS} WHERE id=?", (number,)).fetchone()
        found = _evaluation(row[1:])
        ids = self.items(found.item_set) if with_items and found.status == "ok" else ()
        if not ids:
            return found
        results = self.results(found.recipe, found.protocol, ids)
        weights = self.weights(found.item_set)
        return replace(found, results=tuple(results[item] for item in ids), weights=weights)

    def evaluations(self) -> dict[int, Evaluation]:
        """Return every evaluation by its number, in order, without the results of items."""
        cursor = self._connection.execute(f"{EVALUATIONS} ORDER BY id")
        return {row[0]: _evaluation(row[1:]) for row in cursor}

    def generation(self, stage: str, generation: int) -> tuple[CandidateRecord, ...]:
        """Return the candidates of one generation in order; empty if it was not asked yet."""
        return self._candidates("stage=? AND generation=?", (stage, generation))

    def candidates(self, *, genomes: bool = True) -> tuple[CandidateRecord, ...]:
        """Return every candidate of every stage, in the order in which they were asked.

        Args:
            genomes: whether with their genomes, which of long searches take hundreds of megabytes.
        """
        return self._candidates("TRUE", (), "genome" if genomes else "x''")

    def candidate(self, stage: str, generation: int, position: int) -> CandidateRecord:
        """Return one candidate."""
        key = (stage, generation, position)
        return self._candidates("stage=? AND generation=? AND position=?", key)[0]

    def _candidates(
        self, where: str, values: tuple[Any, ...], genome: str = "genome"
    ) -> tuple[CandidateRecord, ...]:
        cursor = self._connection.execute(
            f"SELECT stage, generation, position, {genome}, recipe, evaluation, cached "  # noqa: S608
            f"FROM candidates WHERE {where} ORDER BY rowid",
            values,
        )
        return tuple(
            CandidateRecord(stage, gen, pos, np.frombuffer(genome), recipe, number, bool(cached))
            for stage, gen, pos, genome, recipe, number, cached in cursor
        )

    def told(self, stage: str, generation: int) -> Genome | None:
        """Return the fitness told for a generation: (population,), or None if not yet."""
        row = self._connection.execute(
            "SELECT told FROM generations WHERE stage=? AND generation=?", (stage, generation)
        ).fetchone()
        return None if row is None or row[0] is None else np.frombuffer(row[0]).copy()

    def roles(self) -> dict[tuple[str, str], int]:
        """Return the number of the evaluation of each (name, part)."""
        cursor = self._connection.execute("SELECT name, part, evaluation FROM roles ORDER BY rowid")
        return {(name, part): number for name, part, number in cursor}

    def examples(self) -> tuple[Example, ...]:
        """Return the test items that were kept to be shown, in order; empty if none were."""
        if not self._has("examples"):
            return ()
        cursor = self._connection.execute(
            "SELECT item, question, answers, picture FROM examples ORDER BY place"
        )
        return tuple(
            Example(item, question, tuple(json.loads(answers)), picture)
            for item, question, answers, picture in cursor
        )

    def origins(self, stage: str, generation: int | None = None) -> dict[tuple[int, int], Descent]:
        """Return where the genomes of a search, or of one generation, come from.

        By (generation, position).

        Empty for optimizers that do not say, and in journals of versions that did not ask.
        """
        if not self._has("origins"):
            return {}
        cursor = self._connection.execute(
            "SELECT generation, position, operator, parents FROM origins "
            "WHERE stage=?1 AND (?2 IS NULL OR generation=?2) ORDER BY generation, position",
            (stage, generation),
        )
        return {
            (generation, position): Descent(operator, tuple((g, p) for g, p in json.loads(parents)))
            for generation, position, operator, parents in cursor
        }

    def states(self, stage: str, generation: int | None = None) -> dict[int, dict[str, Any]]:
        """Return what an optimizer said of itself after each generation, or one, was told: JSON."""
        if not self._has("states"):
            return {}
        cursor = self._connection.execute(
            "SELECT generation, content FROM states "
            "WHERE stage=?1 AND (?2 IS NULL OR generation=?2) ORDER BY generation",
            (stage, generation),
        )
        return {generation: json.loads(content) for generation, content in cursor}

    def tellings(self, stage: str) -> list[Telling]:
        """Return what a steady-state search told its optimizer, in order; empty of others."""
        if not self._has("tellings"):
            return []
        cursor = self._connection.execute(
            "SELECT asked, places FROM tellings WHERE stage=? ORDER BY telling", (stage,)
        )
        return [
            Telling(asked, tuple((g, p) for g, p in json.loads(places))) for asked, places in cursor
        ]

    def arrivals(self, stage: str) -> list[tuple[int, int]]:
        """Return (generation, position) of a search's candidates in the order they were judged."""
        cursor = self._connection.execute(
            "SELECT content FROM events WHERE kind='candidate' ORDER BY seq"
        )
        found = [json.loads(content) for (content,) in cursor]
        return [(one["generation"], one["position"]) for one in found if one["stage"] == stage]

    def _has(self, table: str) -> bool:
        return self._connection.execute(f"PRAGMA table_info({table})").fetchone() is not None

    def selecting(self, stage: str) -> bool:
        """Whether a search is over, because its finalists were chosen."""
        return any(name.startswith(f"{FINALIST}{stage}:") for name, _ in self.roles())

    def events(self, after: int = 0) -> list[Event]:
        """Return what happened after an event's number, in order."""
        cursor = self._connection.execute(
            "SELECT seq, kind, content FROM events WHERE seq > ? ORDER BY seq", (after,)
        )
        return [Event(seq, kind, json.loads(content)) for seq, kind, content in cursor]

    def count(self, query: Literal["evaluations", "items", "hits", "failures"]) -> int:
        """Return how many evaluations, answered items, cache hits or failures there are."""
        sql = {
            "evaluations": "SELECT COUNT(*) FROM evaluations",
            "items": "SELECT COUNT(*) FROM items",
            "hits": "SELECT COUNT(*) FROM candidates WHERE cached",
            "failures": "SELECT COUNT(*) FROM evaluations WHERE status='failed'",
        }[query]
        return int(self._connection.execute(sql).fetchone()[0])

    def proxies(self) -> set[int]:
        """Return the numbers of the evaluations that a cheaper stand-in was asked for."""
        return {n for (n,) in self._connection.execute("SELECT id FROM evaluations WHERE proxy")}

    def elapsed(self) -> float:
        """Return the seconds that all sessions lasted, whatever was done beside each other."""
        query = "SELECT COALESCE(SUM(total), 0) FROM sessions"
        return float(self._connection.execute(query).fetchone()[0])

    def seconds(self) -> dict[str, float]:
        """Return the seconds by phase over all sessions: load, merge, generate, score, other."""
        load, total = self._connection.execute(
            "SELECT COALESCE(SUM(load), 0), COALESCE(SUM(total), 0) FROM sessions"
        ).fetchone()
        phases = {"load": float(load), "merge": 0.0, "generate": 0.0, "score": 0.0}
        for (text,) in self._connection.execute("SELECT seconds FROM evaluations"):
            for phase, value in json.loads(text).items():
                phases[phase] = phases.get(phase, 0.0) + value
        phases["other"] = max(0.0, float(total) - sum(phases.values()))
        return phases


def _evaluation(row: Sequence[Any]) -> Evaluation:
    """Return an evaluation as its row says, without the results of items."""
    return Evaluation(
        recipe=row[0],
        protocol=row[1],
        item_set=row[2],
        status=row[3],
        fitness=row[4],
        reason=row[5],
        score=row[6],
        metrics=json.loads(row[7]),
        seconds=json.loads(row[8]),
        proxy=bool(row[9]),
    )
