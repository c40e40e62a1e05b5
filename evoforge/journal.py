"""The journal: the append-only record of a run, and the only state there is.

One SQLite file in the run folder. Everything is committed before the next step depends on it, so
a run killed anywhere goes on from here. The journal knows genomes, hashes and results; it does not
know models, tasks or optimizers. Trackers and reports read it and are copies of it.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from evoforge.errors import JournalError
from evoforge.insert import insert_candidates, insert_evaluation, insert_recipe
from evoforge.locked import locked, unlock
from evoforge.origin import Descent
from evoforge.recipe import Recipe, canonical
from evoforge.record import FILE, Evaluation, Example, Record, Telling, item_set_hash
from evoforge.schema import EXAMPLES, FORMAT, SCHEMA, STATES, TELLINGS
from evoforge.space import Genome


class Journal:
    """The record of one run.

    Use `Journal.create` or `Journal.resume`; both lock the folder against other processes.
    `record` reads back what was written. `before_commit` is called before anything is kept: what
    it raises takes back the transaction.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection, lock: FileLock) -> None:
        self.folder = folder
        self.record = Record(folder, connection)
        self.before_commit: Callable[[], None] = lambda: None
        self._connection = connection
        self._lock = lock
        self._session: int | None = None
        self._clock = time.monotonic()

    @staticmethod
    def create(folder: Path, meta: Mapping[str, str]) -> "Journal":
        """Start the journal of a new run.

        Args:
            folder: the run folder; made if it is not there.
            meta: facts that never change, such as the configuration.

        Raises:
            JournalError: the folder cannot be written, is in use, or holds a run already.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(
                f"cannot write the run folder {folder}: {error.strerror}; set hydra.run.dir"
            ) from error
        journal = Journal._open(folder)
        if Journal.exists(folder):
            journal.close()
            raise JournalError(f"{folder} holds a run already; go on with resume={folder}")
        with journal.transaction():
            for statement in SCHEMA.split(";")[:-1]:
                journal._connection.execute(statement)
            journal._insert_meta({"format": FORMAT, **meta})
        return journal

    @staticmethod
    def resume(folder: Path) -> "Journal":
        """Open the journal of a run that is to go on.

        Raises:
            JournalError: there is none, it is in use, or it is damaged.
        """
        if not (folder / FILE).is_file():
            raise JournalError(f"there is no run in {folder} (no {FILE}); set resume")
        journal = Journal._open(folder)
        try:
            journal.record.check()
            (found,) = journal._connection.execute("PRAGMA integrity_check(1)").fetchone()
        except JournalError:
            journal.close()
            raise
        except sqlite3.DatabaseError as error:
            found = str(error)
        if found != "ok":
            journal.close()
            raise JournalError(
                f"{folder / FILE} is damaged ({found.splitlines()[0]}); restore it, or start a "
                "new run in another folder"
            )
        return journal

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether a folder holds a run, damaged or not: a journal with something in it.

        Raises:
            JournalError: nobody can tell, because the disk is full or failing.
        """
        path = folder / FILE
        if not path.is_file():
            return False
        connection = sqlite3.connect(path)
        try:
            # A process killed right after opening the file leaves it without tables.
            return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
        except sqlite3.OperationalError as error:
            raise JournalError(f"{path} cannot be used: {error}; set hydra.run.dir") from error
        except sqlite3.DatabaseError:
            return True
        finally:
            connection.close()

    @staticmethod
    def _open(folder: Path) -> "Journal":
        return Journal(folder, *locked(folder))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; durable when it ends.

        Raises:
            JournalError: the disk is full or failing.
        """
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.before_commit()
                if self._session is not None:
                    connection.execute(
                        "UPDATE sessions SET total=? WHERE id=?",
                        (time.monotonic() - self._clock, self._session),
                    )
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.IntegrityError:
            raise  # a fault of ours, not of the disk
        except sqlite3.DatabaseError as error:
            raise JournalError(
                f"cannot write {self.folder / FILE}: {error}; nothing recorded so far is lost: "
                f"free the disk and go on with resume={self.folder}"
            ) from error

    def close(self) -> None:
        """Close the file and release the folder; may be called twice."""
        self._connection.close()
        unlock(self.folder, self._lock)

    # What is written.

    def _insert_meta(self, meta: Mapping[str, str]) -> None:
        self._connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())

    def event(self, kind: str, **content: Any) -> None:
        """Add an event; call inside a transaction."""
        self._connection.execute(
            "INSERT INTO events (kind, content) VALUES (?, ?)", (kind, canonical(content))
        )

    def start_session(self, started: float, load: float) -> None:
        """Note that a process begins to work on this run, `load` seconds after it was started."""
        self._clock = time.monotonic() - load
        with self.transaction():
            cursor = self._connection.execute(
                "INSERT INTO sessions (started, load, total) VALUES (?, ?, ?)",
                (started, load, load),
            )
            self._session = cursor.lastrowid
            self.event("session", number=cursor.lastrowid)

    def add_stage(self, name: str, info: Mapping[str, Any]) -> None:
        """Record a search before it begins, or goes on with another budget."""
        with self.transaction():
            # An update, and not a replacement, which would move the stage behind later ones.
            self._connection.execute(
                "INSERT INTO stages VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET info=excluded.info",
                (name, canonical(info)),
            )
            self.event("stage", stage=name)

    def add_items(
        self, part: str, items: Sequence[str], weights: Sequence[float] | None = None
    ) -> str:
        """Remember a set of items; return its hash. Call inside a transaction.

        Args:
            part: of the task.
            items: ids, in order.
            weights: what each counts in a score; None: all the same.
        """
        key = item_set_hash(items)
        known = None if weights is None or len(set(weights)) == 1 else canonical(list(weights))
        self._connection.execute(
            "INSERT OR IGNORE INTO item_sets VALUES (?, ?, ?, ?)",
            (key, part, canonical(list(items)), known),
        )
        return key

    def add_recipe(self, recipe: Recipe) -> None:
        """Remember a recipe; call inside a transaction."""
        insert_recipe(self._connection, recipe)

    def add_generation(
        self,
        stage: str,
        generation: int,
        asked: Sequence[tuple[Genome, Recipe]],
        items: Sequence[str],
        weights: Sequence[float] | None = None,
        origins: Sequence[Descent] = (),
    ) -> None:
        """Record what an optimizer asked, before anything of it is evaluated.

        Args:
            stage: the search.
            generation: counted from 0.
            asked: the genomes with their recipes.
            items: ids of what the generation is asked first.
            weights: what each counts in a score; None: all the same.
            origins: where each comes from, with parents as (generation, position); or none.
        """
        with self.transaction():
            key = self.add_items("search", items, weights)
            self._connection.execute(
                "INSERT INTO generations VALUES (?, ?, ?, NULL)", (stage, generation, key)
            )
            insert_candidates(self._connection, (stage, generation, 0), asked, origins)

    def add_candidates(
        self,
        stage: str,
        generation: int,
        first: int,
        asked: Sequence[tuple[Genome, Recipe]],
        origins: Sequence[Descent] = (),
    ) -> None:
        """Record the rest of a generation that a budget had cut off.

        Args:
            stage: the search.
            generation: that is recorded in part.
            first: position of the first of the rest.
            asked: see `add_generation`, as `origins`.
            origins: of the rest.
        """
        with self.transaction():
            insert_candidates(self._connection, (stage, generation, first), asked, origins)

    def add_evaluation(self, evaluation: Evaluation) -> int:
        """Record an evaluation with its items; call inside a transaction. Returns its number."""
        return insert_evaluation(self._connection, evaluation)

    def assign(self, stage: str, generation: int, position: int, evaluation: int) -> None:
        """Say what became of a candidate; call inside a transaction.

        It counts as cached if another candidate or a baseline had this evaluation before.
        """
        self._connection.execute(
            "UPDATE candidates SET evaluation=?1, cached="
            "EXISTS (SELECT 1 FROM candidates WHERE evaluation=?1) OR "
            "EXISTS (SELECT 1 FROM roles WHERE evaluation=?1) "
            "WHERE stage=?2 AND generation=?3 AND position=?4",
            (evaluation, stage, generation, position),
        )
        self.event("candidate", stage=stage, generation=generation, position=position)

    def tell(
        self, stage: str, generation: int, fitness: Genome, state: Mapping[str, Any] | None = None
    ) -> None:
        """Record the fitness that the optimizer is about to be told, or has been in tellings.

        Args:
            stage: the search.
            generation: counted from 0.
            fitness: (population,).
            state: what the optimizer says of itself, if it was told already: see `add_state`.
        """
        with self.transaction():
            self._connection.execute(
                "UPDATE generations SET told=? WHERE stage=? AND generation=?",
                (fitness.tobytes(), stage, generation),
            )
            if state:
                self._add_state(stage, generation, state)
            self.event("generation", stage=stage, generation=generation)

    def add_telling(self, stage: str, number: int, telling: Telling) -> None:
        """Record what the optimizer of a steady-state search is about to be told.

        Args:
            stage: the search.
            number: of the telling, counted from 0.
            telling: who is told, and how many generations had been asked.
        """
        with self.transaction():
            self._connection.execute(TELLINGS)
            self._connection.execute(
                "INSERT INTO tellings VALUES (?, ?, ?, ?)",
                (stage, number, telling.asked, canonical([*map(list, telling.places)])),
            )

    def add_state(self, stage: str, generation: int, content: Mapping[str, Any]) -> None:
        """Keep what an optimizer says of itself after a generation was told; the first time counts.

        A generation that was told before a crash came between is made good when it is replayed.
        """
        with self.transaction():
            self._add_state(stage, generation, content)

    def _add_state(self, stage: str, generation: int, content: Mapping[str, Any]) -> None:
        self._connection.execute(STATES)
        self._connection.execute(
            "INSERT OR IGNORE INTO states VALUES (?, ?, ?)",
            (stage, generation, canonical(dict(content))),
        )

    def add_role(self, name: str, part: str, recipe: str, evaluation: int) -> None:
        """Give an evaluation a name, such as a baseline's; call inside a transaction."""
        self._connection.execute(
            "INSERT OR REPLACE INTO roles VALUES (?, ?, ?, ?)", (name, part, recipe, evaluation)
        )
        self.event("role", name=name, part=part)

    def add_examples(self, examples: Sequence[Example]) -> None:
        """Keep test items to be shown beside the answers to them; once kept, they stay."""
        with self.transaction():
            self._connection.execute(EXAMPLES)
            self._connection.executemany(
                "INSERT OR IGNORE INTO examples VALUES (?, ?, ?, ?, ?)",
                (
                    (place, e.item, e.question, canonical(list(e.answers)), e.picture)
                    for place, e in enumerate(examples)
                ),
            )

    def finish(self) -> None:
        """Mark the run as complete."""
        with self.transaction():
            self._insert_meta({"finished": "yes"})
            self.event("finished")
