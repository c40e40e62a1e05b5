"""Ctrl-C and SIGTERM: whatever they hit, they are not lost and nothing is recorded after them.

That they end a run with a sentence and the codes 130 and 143 is in tests/test_run.py.
"""

import os
import signal
from contextlib import suppress

import pytest

from evoforge import stopping
from evoforge.optimizer.cma_es import CmaEs
from evoforge.record import Record
from evoforge.stopping import Terminated
from tests.faults.conftest import go
from tests.faults.sameness import tables
from tests.loop import Search


@pytest.fixture
def heard(unasked):
    """Signals are heard as in run.py."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stopping.listen()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_a_signal_that_a_library_swallows_stops_before_anything_more_is_recorded(
    heard, configured, few, tmp_path, monkeypatch, number, kind
):
    cfg, ask = configured(few), CmaEs.ask

    def swallowing(optimizer):
        with suppress(KeyboardInterrupt):  # pycma has bare excepts
            os.kill(os.getpid(), number)
        return ask(optimizer)

    monkeypatch.setattr(CmaEs, "ask", swallowing)
    with pytest.raises(KeyboardInterrupt) as stopped:
        go(cfg, tmp_path / "run")
    assert stopped.type is kind
    record = Record.open(tmp_path / "run")
    assert not record.candidates()
    assert record.roles()  # the baselines were before it
    record.close()


def test_a_signal_anywhere_leaves_what_can_be_gone_on_with(heard, pico, tmp_path):
    """At every fifth commit: within the evaluation before it, or the transaction itself."""
    whole = Search(pico, tmp_path / "whole", evaluations=8)
    whole.run()
    whole.journal.close()
    stops = 0
    while True:
        search = Search(pico, tmp_path / "stopped", evaluations=8)
        left = 6

        def stop_sometimes():
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGINT)  # in the middle of a transaction

        search.journal.before_commit = stop_sometimes
        try:
            search.run()
            break
        except KeyboardInterrupt:
            stops += 1
        finally:
            search.journal.close()
    assert stops > 3
    assert tables(tmp_path / "stopped") == tables(tmp_path / "whole")
