"""Servers of W&B that hang, or want nothing of us: told, and waited for no longer than set.

A server that is not there, an account that is not there and calls that raise are in tests/tracker.
"""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import wandb

from evoforge.journal import Journal
from evoforge.tracker import wandb as tracker_module
from evoforge.tracker._wandb_run import WandbRun
from evoforge.tracker.wandb import Wandb
from tests.tracker.conftest import Run, read_mirror

TIMEOUT = 1.0
# Seconds that W&B's own process may take to start where the machine is busy.
BUSY = 30.0


class Server(ThreadingHTTPServer):
    """Answers every request with one code after a while."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, code, delay):
        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                server.asked += 1
                server.over.wait(delay)
                self.send_response(code)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_GET = do_POST = do_PUT = answer  # noqa: N815

            def log_message(self, *given):
                """Say nothing."""

        server = self
        self.asked = 0
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def serve(monkeypatch):
    """Return what starts a server that W&B is sent to."""
    servers = []

    def start(code, delay=0.0):
        server = Server(code, delay)
        servers.append(server)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
        return server

    yield start
    wandb.teardown()  # it keeps the address of the first server
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("code", "delay"), [(401, 0.0), (403, 0.0), (500, 0.0), (200, 60.0)], ids=str
)
def test_a_server_that_does_not_take_a_run_costs_a_bounded_wait(
    serve, tmp_path, caplog, monkeypatch, code, delay
):
    monkeypatch.setattr(tracker_module, "GRACE", BUSY)
    server = serve(code, delay)
    run = Run(Journal.create(tmp_path / "run", {"config": "{}"}))
    run.stage()
    tracker = Wandb(mode="online", timeout=TIMEOUT)
    began = time.monotonic()
    tracker.start(run.journal.record)
    run.generation(0)
    tracker.update()
    assert time.monotonic() - began < TIMEOUT  # the search does not wait
    tracker.finish("finished", None)
    assert time.monotonic() - began < TIMEOUT + BUSY + 5
    assert server.asked
    assert "so it logs offline" in caplog.text
    run.journal.close()
    assert len(read_mirror(run.journal.folder).candidates) == 4


def test_a_server_that_hangs_once_a_run_is_open_is_waited_for_at_the_end_alone(
    tmp_path, caplog, monkeypatch
):
    over = threading.Event()
    monkeypatch.setattr(tracker_module, "GRACE", 0.1)
    monkeypatch.setattr(WandbRun, "open", lambda run: None)
    monkeypatch.setattr(WandbRun, "stage", lambda run, *given: over.wait(60))
    run = Run(Journal.create(tmp_path / "run", {"config": "{}"}))
    run.stage()
    tracker = Wandb(mode="online", timeout=0.2)
    began = time.monotonic()
    tracker.start(run.journal.record)
    run.generation(0)
    tracker.update()
    assert time.monotonic() - began < 5
    tracker.finish("finished", None)
    assert time.monotonic() - began < 10
    assert f"python -m evoforge.relog {tmp_path}/run" in caplog.text
    over.set()
    run.journal.close()
