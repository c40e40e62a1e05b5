"""Whole runs with workers: they stop as others do, and what is recorded is as without."""

import json
import signal
import subprocess
import time
from dataclasses import replace

import psutil
import pytest

from evoforge.assembly import assemble
from evoforge.executor.base import Job
from evoforge.record import FILE, Record
from tests.forked import environment
from tests.test_run import SMALL, _searching, own_models

WORKERS = ["executor=processes", "executor.workers=2"]


@pytest.fixture
def command(tmp_path, pico):
    """The beginning of a command that runs pico models."""
    return own_models(tmp_path, pico)


def stop(command, folder, number):
    """Start a run with workers, and send it a signal; return what is left of it, and the end."""
    process = subprocess.Popen(
        [*command, *SMALL, *WORKERS, "budget.evaluations=4000", f"hydra.run.dir={folder}"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if (folder / FILE).is_file() and _searching(folder):
            break
        time.sleep(0.1)
    started = psutil.Process(process.pid).children(recursive=True)
    psutil.Process(process.pid).send_signal(number)
    _, err = process.communicate(timeout=60)
    return psutil.wait_procs(started, timeout=10)[1], process.returncode, err


def here(record):
    """Return what this process says of the first candidates, and what their workers said."""
    cfg = json.loads(record.meta("config"))
    local = {"_target_": "evoforge.executor.local.Local"}
    parts = assemble({**cfg, "executor": local, "tracker": {}})
    items = {item.id: item for item in parts.task.items("search")}
    jobs, said = [], []
    for candidate in record.candidates()[:8]:
        evaluation = record.evaluation(candidate.evaluation, with_items=True)
        asked = tuple(items[name] for name in record.items(evaluation.item_set))
        jobs.append(Job(record.recipe(candidate.recipe), asked))
        said.append(replace(evaluation, seconds={}))
    return [replace(found, seconds={}) for found in parts.executor.run(jobs)], said


def test_a_run_with_workers_stops_and_leaves_nothing_and_goes_on_without(forks, command, tmp_path):
    folder = tmp_path / "run"
    left, code, err = stop(command, folder, signal.SIGTERM)
    assert left == []
    assert (code, "Traceback" in err) == (143, False), err
    assert f"go on with: python run.py resume={folder}" in err
    # Where it is done may change, and what was said of the workers counts no longer.
    changed = [f"resume={folder}", "budget.evaluations=8", "executor=local"]
    again = forks.run([*command[1:], *changed], tmp_path)
    assert again.returncode == 0, again.stderr
    record = Record.open(folder)
    found, said = here(record)
    record.close()
    assert found == said
