"""Journals and exported models in which bytes have flipped or are missing.

Damage to the sources is in tests/models/test_damage.py and tests/faults/test_sources.py.
"""

import random
import shutil
import sqlite3

import pytest

from evoforge import checksums, seal
from evoforge.errors import EvoforgeError, JournalError
from evoforge.journal import Journal
from evoforge.record import FILE, Record
from tests.faults.conftest import go
from tests.faults.sameness import files
from tests.loop import Search

PAGE = 4096


@pytest.fixture(scope="module")
def stopped(pico, tmp_path_factory):
    """The folder of a search that was stopped after its second generation, and closed."""
    folder = tmp_path_factory.mktemp("stopped")
    search = Search(pico, folder, evaluations=8)
    search.search_only()
    search.journal.close()
    return folder


@pytest.fixture
def journal(stopped, tmp_path):
    return shutil.copytree(stopped, tmp_path / "journal")


def flip(path, position, bit=0):
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


def test_a_flipped_bit_on_any_page_of_a_journal_at_rest_is_told(journal):
    pages = (journal / FILE).stat().st_size // PAGE
    assert pages > 10
    chance = random.Random(3)
    for page in range(pages):
        position, bit = page * PAGE + chance.randrange(PAGE), chance.randrange(8)
        flip(journal / FILE, position, bit)
        for opening in (Record.open, Journal.resume):
            with pytest.raises(JournalError, match=r"journal.sqlite is damaged.*restore it"):
                opening(journal)
        flip(journal / FILE, position, bit)
    Record.open(journal).close()


def test_a_truncated_journal_is_told(journal):
    whole = (journal / FILE).read_bytes()
    (journal / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(JournalError, match="is damaged"):
        Journal.resume(journal)


def test_a_journal_changed_by_hand_can_be_taken_as_it_is(journal):
    with sqlite3.connect(journal / FILE) as connection:
        connection.execute("INSERT INTO meta VALUES ('note', 'mine')")
    connection.close()
    with pytest.raises(JournalError, match=f"or delete {journal}/{seal.SEAL}"):
        Record.open(journal)
    (journal / seal.SEAL).unlink()
    record = Record.open(journal)
    assert record.meta("note") == "mine"
    record.close()


def test_a_run_that_goes_on_has_no_seal_until_it_ends(journal):
    assert (journal / seal.SEAL).is_file()
    resumed = Journal.resume(journal)
    assert not (journal / seal.SEAL).exists()
    resumed.start_session(0.0, 0.0)
    Record.open(journal).close()  # also while it is written to
    resumed.close()
    Record.open(journal).close()
    assert (journal / seal.SEAL).is_file()


def test_a_seal_is_left_out_where_a_reader_holds_what_is_not_in_the_file_yet(journal):
    resumed = Journal.resume(journal)
    reader = Record.open(journal)
    reader.roles()
    resumed.start_session(0.0, 0.0)
    resumed.close()
    assert not (journal / seal.SEAL).exists()
    reader.close()
    Journal.resume(journal).close()


def test_damage_within_a_journal_that_nobody_closed_ends_in_a_sentence_or_is_harmless(
    journal, pico
):
    """A process that was killed leaves no seal: what is read is checked as far as it can be."""
    (journal / seal.SEAL).unlink()
    whole = (journal / FILE).read_bytes()
    chance = random.Random(5)
    told = 0
    for _ in range(40):
        flip(journal / FILE, chance.randrange(len(whole)), chance.randrange(8))
        try:
            search = Search(pico, journal, evaluations=8)
        except EvoforgeError:
            told += 1
        else:
            try:
                search.search_only()
            except (EvoforgeError, sqlite3.DatabaseError):
                told += 1
            finally:
                search.journal.close()
        seal.remove(journal)
        (journal / FILE).write_bytes(whole)
    assert told >= 3


def test_a_recipe_that_is_not_the_recorded_one_is_told(journal):
    (journal / seal.SEAL).unlink()
    with sqlite3.connect(journal / FILE) as connection:
        connection.execute("UPDATE recipes SET text=replace(text, '0.5', '0.25')")
        (key,) = connection.execute("SELECT recipe FROM candidates").fetchone()
    connection.close()
    record = Record.open(journal)
    with pytest.raises(JournalError, match=f"is damaged: recipe {key}"):
        record.recipe(key)
    record.close()


def test_checksums_find_what_is_changed_or_missing_and_let_be_what_was_added(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a", "b", "sub/c"):
        (tmp_path / name).write_text(name)
    checksums.write(tmp_path)
    assert checksums.damaged(tmp_path) == []
    # echo -n a | sha256sum
    known = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    lines = (tmp_path / checksums.SUMS).read_text().splitlines()
    assert lines[0] == f"{known}  a"
    (tmp_path / "added").write_text("added")
    flip(tmp_path / "b", 0)
    (tmp_path / "sub" / "c").unlink()
    assert checksums.damaged(tmp_path) == ["b", "sub/c"]


def test_checksums_of_files_elsewhere_are_not_looked_at(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "secret").write_text("s")
    (tmp_path / "model" / checksums.SUMS).write_text("00  ../secret\n")
    assert checksums.damaged(tmp_path / "model") == ["../secret"]


@pytest.mark.parametrize("harm", ["flipped", "truncated", "deleted"])
def test_an_exported_model_that_was_damaged_is_made_again(complete, tmp_path, caplog, harm):
    cfg, whole = complete
    folder = shutil.copytree(whole, tmp_path / "run")
    weights = folder / "model" / "model.safetensors"
    if harm == "flipped":
        flip(weights, -3)
    elif harm == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    else:
        weights.unlink()
    go(cfg, folder)
    assert "model.safetensors is not what the run wrote" in caplog.text
    again, before = files(folder / "model"), files(whole / "model")
    # The card says how long it took.
    assert [again.pop("README.md"), before.pop("README.md")]
    assert again == before


def test_a_card_that_was_written_on_is_left_alone(complete, tmp_path):
    cfg, whole = complete
    folder = shutil.copytree(whole, tmp_path / "run")
    (folder / "model" / "README.md").write_text("mine")
    go(cfg, folder)
    assert (folder / "model" / "README.md").read_text() == "mine"


@pytest.fixture(scope="module")
def complete(configured, few, tmp_path_factory):
    """The configuration and the folder of a run that is complete."""
    cfg, folder = configured(few), tmp_path_factory.mktemp("complete") / "run"
    go(cfg, folder)
    return cfg, folder
