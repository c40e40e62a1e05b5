"""Writing candidates and evaluations into the tables of a journal.

Knows the tables; transactions are the journal's.
"""

import sqlite3
from collections.abc import Sequence

from evoforge.evaluation import Evaluation
from evoforge.origin import Descent
from evoforge.recipe import Recipe, canonical
from evoforge.schema import ORIGINS
from evoforge.space import Genome


def insert_recipe(connection: sqlite3.Connection, recipe: Recipe) -> None:
    """Record a recipe, once."""
    connection.execute("INSERT OR IGNORE INTO recipes VALUES (?, ?)", (recipe.hash, recipe.text))


def insert_candidates(
    connection: sqlite3.Connection,
    place: tuple[str, int, int],
    asked: Sequence[tuple[Genome, Recipe]],
    origins: Sequence[Descent],
) -> None:
    """Record candidates that follow each other in a generation.

    Args:
        connection: the open journal.
        place: stage, generation and position of the first.
        asked: the genomes with their recipes.
        origins: where each comes from, with parents as (generation, position); or none.
    """
    stage, generation, first = place
    for position, (genome, recipe) in enumerate(asked, start=first):
        insert_recipe(connection, recipe)
        connection.execute(
            "INSERT INTO candidates VALUES (?, ?, ?, ?, ?, NULL, NULL)",
            (stage, generation, position, genome.tobytes(), recipe.hash),
        )
    if not origins:
        return
    connection.execute(ORIGINS)
    connection.executemany(
        "INSERT INTO origins VALUES (?, ?, ?, ?, ?)",
        (
            (stage, generation, position, origin.operator, canonical([*origin.parents]))
            for position, origin in enumerate(origins, start=first)
        ),
    )


def insert_evaluation(connection: sqlite3.Connection, evaluation: Evaluation) -> int:
    """Record an evaluation with its items; return its number."""
    cursor = connection.execute(
        "INSERT INTO evaluations (recipe, protocol, item_set, status, reason, score, fitness,"
        " metrics, seconds, proxy) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            evaluation.recipe,
            evaluation.protocol,
            evaluation.item_set,
            evaluation.status,
            evaluation.reason,
            evaluation.score,
            evaluation.fitness,
            canonical(dict(evaluation.metrics)),
            canonical(dict(evaluation.seconds)),
            evaluation.proxy,
        ),
    )
    number = cursor.lastrowid
    assert number is not None
    _insert_results(connection, evaluation)
    return number


def _insert_results(connection: sqlite3.Connection, evaluation: Evaluation) -> None:
    """Record what was answered; what was known before stays as it is."""
    subject = (evaluation.recipe, evaluation.protocol)
    connection.execute("INSERT OR IGNORE INTO subjects (recipe, protocol) VALUES (?, ?)", subject)
    (key,) = connection.execute(
        "SELECT id FROM subjects WHERE recipe=? AND protocol=?", subject
    ).fetchone()
    connection.executemany(
        "INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (key, r.item, r.score, canonical(dict(r.metrics)), r.completion, r.tokens, r.reason)
            for r in evaluation.results
        ),
    )
