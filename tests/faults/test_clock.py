"""A clock that is set back or forward while a run goes on: its seconds and its budget stand."""

import time

import pytest

from evoforge.record import Record
from tests.faults.conftest import go


@pytest.mark.parametrize("jump", [-1e8, 1e8], ids=["back", "forward"])
def test_a_clock_that_is_set_changes_no_seconds_and_ends_no_search(
    configured, few, tmp_path, monkeypatch, jump
):
    cfg = configured(few, "budget.minutes=60", "budget.evaluations=8")
    true, begun = time.time, time.monotonic()
    monkeypatch.setattr(time, "time", lambda: true() + jump * (time.monotonic() - begun))
    go(cfg, tmp_path / "run")
    took = time.monotonic() - begun
    record = Record.open(tmp_path / "run")
    seconds = record.seconds()
    assert len(record.candidates()) == 8
    record.close()
    assert min(seconds.values()) >= 0
    assert sum(seconds.values()) < 2 * took
