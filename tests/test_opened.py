import sqlite3

import pytest

from evoforge import seal
from evoforge.errors import JournalError
from evoforge.journal import Journal
from evoforge.opened import opened


@pytest.fixture
def folder(tmp_path):
    Journal.create(tmp_path / "run", {"config": "{}"}).close()
    return tmp_path / "run"


def test_a_record_is_read_and_closed_again(folder):
    with opened(folder) as record:
        assert record.meta("config") == "{}"
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        record.meta("config")


def test_damage_that_shows_late_is_one_sentence(folder):
    seal.remove(folder)
    with sqlite3.connect(folder / "journal.sqlite") as connection:
        connection.execute("DROP TABLE roles")
    connection.close()
    with (
        pytest.raises(JournalError, match=r"run/journal\.sqlite is damaged: no such table: roles"),
        opened(folder) as record,
    ):
        record.roles()


def test_a_folder_without_a_run_is_one_sentence(tmp_path):
    with pytest.raises(JournalError, match="there is no run in"), opened(tmp_path):
        pass
