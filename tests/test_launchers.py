"""Sweeps whose runs are processes of their own: Hydra's joblib and submitit launchers, for real."""

import json
import subprocess
import time
from importlib.util import find_spec

import psutil
import pytest

from evoforge.record import FILE, Record
from tests import test_run
from tests.test_run import SMALL, environment

command = test_run.command  # a fixture
SWEEP = [*SMALL, "budget.evaluations=4", "baseline_items=1", "+sweep=population_size"]
ONE = [*SWEEP, "optimizer.population=4", "tracker=console"]


def needs(launcher):
    missing = find_spec(f"hydra_plugins.hydra_{launcher}_launcher") is None
    return pytest.mark.skipif(missing, reason=f"pip install 'evoforge[{launcher}]'")


def start(command, cwd):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=cwd, env=environment(), text=True, **pipes)


def folders(tmp_path):
    root = tmp_path / "outputs" / "sweeps" / "population_size"
    return {path.name: path for path in sorted(root.iterdir()) if (path / FILE).is_file()}


@needs("joblib")
def test_joblib_runs_beside_each_other_and_one_that_fails_harms_no_other(command, tmp_path):
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    process = start([*command, *ONE, *launcher, "seed=-1,0,1"], tmp_path)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 2, err
    assert "error: population=4,seed=-1: seed must be a whole number from 0" in err
    assert "Traceback" not in err
    runs = folders(tmp_path)
    assert [*runs] == ["population=4,seed=0", "population=4,seed=1"]
    assert Record.open(runs["population=4,seed=0"]).finished
    # Lines of two runs come mixed, so each says whose it is.
    assert "population=4,seed=1  search generation 0" in out
    assert out.splitlines()[-1] == "outputs/sweeps/population_size"
    result = json.loads((runs["population=4,seed=0"] / "result.json").read_text())
    assert result["seconds"]["load"] < result["seconds"]["total"]
    assert (tmp_path / "outputs/sweeps/population_size/comparison.csv").is_file()


@needs("submitit")
def test_submitit_loses_only_the_run_that_is_killed(command, tmp_path):
    journal = tmp_path / "outputs/sweeps/population_size/population=4,seed=0" / FILE
    launcher = ["hydra/launcher=submitit_local", "seed=0,1"]
    process = start([*command, *ONE, *launcher], tmp_path)
    killed = kill_worker_at(process, journal)
    _, err = process.communicate(timeout=200)
    assert killed
    assert process.returncode == 1, err
    assert "a run of the sweep was killed" in err
    assert "Traceback" not in err
    assert Record.open(folders(tmp_path)["population=4,seed=1"]).finished
    assert not (journal.parent / "result.json").exists()


def kill_worker_at(process, journal):
    """Kill the process that works on a journal, as soon as it does; return whether it was."""
    deadline = time.monotonic() + 100
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
        if not journal.is_file():
            continue
        for worker in psutil.Process(process.pid).children(recursive=True):
            if str(journal) in {file.path for file in worker.open_files()}:
                worker.kill()
                return True
    return False
