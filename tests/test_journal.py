import sqlite3

import numpy as np
import pytest

from evoforge.errors import JournalError
from evoforge.journal import Journal
from evoforge.recipe import Recipe
from evoforge.record import FILE, Evaluation, ItemResult, Record, item_set_hash

ITEMS = ("i1", "i2")
RECIPE = Recipe({"method": "linear", "values": {}})


@pytest.fixture
def journal(tmp_path):
    journal = Journal.create(tmp_path / "run", {"config": "{}"})
    yield journal
    journal.close()


def evaluation(**changes):
    results = tuple(ItemResult(i, 1.0, {"acc": 1.0}, "答えは 3", 4) for i in ITEMS)
    settings = {
        "recipe": RECIPE.hash,
        "protocol": "p",
        "item_set": item_set_hash(ITEMS),
        "status": "ok",
        "fitness": 1.0,
        "score": 1.0,
        "metrics": {"acc": 1.0},
        "seconds": {"merge": 0.5, "generate": 1.0, "score": 0.25},
        "results": results,
    }
    return Evaluation(**{**settings, **changes})


def add(journal, found):
    with journal.transaction():
        journal.add_items("search", ITEMS)
        return journal.add_evaluation(found)


def test_an_evaluation_reads_back_with_its_items(journal):
    number = add(journal, evaluation())
    assert journal.record.evaluation(number, with_items=True) == evaluation()


def test_a_failure_keeps_its_reason_and_infinite_fitness(journal):
    failed = evaluation(
        status="failed",
        reason="MergeError: not finite",
        fitness=float("-inf"),
        score=None,
        metrics={},
        results=(),
    )
    assert journal.record.evaluation(add(journal, failed)) == failed
    assert journal.record.count("failures") == 1


def test_an_evaluation_is_found_by_recipe_protocol_and_items(journal):
    number = add(journal, evaluation())
    key = (RECIPE.hash, "p", item_set_hash(ITEMS))
    assert journal.record.find(*key) == number
    assert journal.record.find(RECIPE.hash, "other", key[2]) is None


def test_a_generation_reads_back_bit_for_bit(journal):
    genomes = np.random.default_rng(0).random((3, 5))
    journal.add_generation("search", 0, [(g, RECIPE) for g in genomes], ITEMS)
    journal.tell("search", 0, np.array([0.1, float("-inf"), 0.3]))
    found = journal.record.generation("search", 0)
    assert all(r.genome.tobytes() == g.tobytes() for r, g in zip(found, genomes, strict=True))
    assert journal.record.told("search", 0).tolist() == [0.1, float("-inf"), 0.3]
    assert journal.record.generation("search", 1) == ()


def test_nothing_of_a_broken_transaction_stays(journal):
    add(journal, evaluation())
    with pytest.raises(sqlite3.IntegrityError):
        add(journal, evaluation())  # the items are written after the row that is there already
    assert journal.record.count("evaluations") == 1
    assert journal.record.count("items") == 2


def test_events_come_in_order_after_a_mark(journal):
    journal.start_session(0.0, 0.0)
    journal.add_stage("search", {"names": ["x"]})
    kinds = [event.kind for event in journal.record.events()]
    assert kinds == ["session", "stage"]
    assert [event.kind for event in journal.record.events(after=1)] == ["stage"]


def test_a_second_process_on_the_folder_is_refused(journal):
    with pytest.raises(JournalError, match="in use by another process"):
        Journal.resume(journal.folder)


def test_a_folder_with_a_run_is_not_started_anew(journal):
    journal.close()
    with pytest.raises(JournalError, match="holds a run already; go on with resume="):
        Journal.create(journal.folder, {})


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path):
    with pytest.raises(JournalError, match="there is no run in"):
        Journal.resume(tmp_path)


def test_a_process_killed_before_the_first_commit_leaves_a_usable_folder(tmp_path):
    sqlite3.connect(tmp_path / FILE).execute("PRAGMA journal_mode=WAL").close()
    Journal.create(tmp_path, {"config": "{}"}).close()


@pytest.mark.parametrize("content", [b"not a database at all, but long enough" * 99, b""])
def test_a_damaged_journal_is_a_clear_error(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(JournalError, match=r"damaged|cannot be used"):
        Journal.resume(tmp_path)
    with pytest.raises(JournalError, match="damaged"):
        Record.open(tmp_path)


def test_a_journal_of_another_format_names_both(journal):
    with journal.transaction():
        journal._connection.execute("UPDATE meta SET value='99' WHERE key='format'")
    with pytest.raises(JournalError, match="has format 99, this evoforge reads 2"):
        Record.open(journal.folder)


def test_a_run_folder_that_cannot_be_made_names_the_option(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"cannot write the run folder .* set hydra.run.dir"):
        Journal.create(tmp_path / "file" / "run", {})


def test_seconds_are_split_into_phases(journal):
    journal.start_session(0.0, 2.0)
    add(journal, evaluation())
    seconds = journal.record.seconds()
    assert {k: seconds[k] for k in ("load", "merge", "generate", "score")} == {
        "load": 2.0,
        "merge": 0.5,
        "generate": 1.0,
        "score": 0.25,
    }
    assert seconds["other"] >= 0


def test_a_reader_sees_a_run_that_goes_on(journal):
    number = add(journal, evaluation())
    reader = Record.open(journal.folder)
    assert reader.evaluation(number).score == 1.0
    reader.close()
