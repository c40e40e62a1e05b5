"""Workers that are processes of this machine: what they are given, and how they end."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from evoforge.errors import ConfigError
from evoforge.executor import _machine
from evoforge.executor.processes import Processes
from tests.conftest import ROOT
from tests.executor.trouble import evaluate, made_there
from tests.forked import environment


def processes(**options):
    return Processes(evaluate, made_there, **options)


@pytest.fixture
def machine(monkeypatch):
    """Return what gives this machine GPUs and cores."""

    def have(gpus="", cores=8):
        monkeypatch.setattr(_machine, "visible_gpus", lambda: gpus.split())
        monkeypatch.setattr("evoforge.executor.processes.cores", lambda: cores)

    return have


@pytest.mark.parametrize(
    ("gpus", "options", "workers"),
    [
        ("", {}, 8),
        ("", {"threads": 3}, 2),
        ("", {"threads": 16}, 1),
        ("0 1 2 3", {}, 4),
        ("0 1 2 3", {"gpus": 2}, 2),
        ("0 1 2 3", {"devices": [1, "3"]}, 2),
        ("0 1 2 3", {"devices": []}, 8),
        ("0 1", {"workers": 5}, 5),
    ],
)
def test_there_are_as_many_workers_as_the_machine_has_room_for(machine, gpus, options, workers):
    machine(gpus)
    assert processes(**options).workers == workers


@pytest.mark.parametrize(
    ("gpus", "options", "seen"),
    [
        ("", {"workers": 2}, [("", None), ("", None)]),
        ("4 5", {}, [("4", "cuda:0"), ("5", "cuda:0")]),
        ("4 5", {"workers": 3}, [("4", "cuda:0"), ("5", "cuda:0"), ("4", "cuda:0")]),
        ("0 1 2 3 4", {"gpus": 2}, [("0,1", None), ("2,3", None)]),
        ("0 1", {"devices": ["GPU-8f"]}, [("GPU-8f", "cuda:0")]),
    ],
)
def test_each_worker_sees_its_own_gpus_only(machine, monkeypatch, gpus, options, seen):
    machine(gpus)
    made = []

    def process(make, place, environment, beat, inbox):
        made.append((environment["CUDA_VISIBLE_DEVICES"], place.device))

    monkeypatch.setattr("evoforge.executor.processes.Process", process)
    executor = processes(**options)
    for number in range(executor.workers):
        executor._hire(number)
    assert made == seen


def test_gpus_keep_the_names_that_the_scheduler_gave(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-8f")
    assert _machine.visible_gpus() == ["3", "GPU-8f"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert _machine.visible_gpus() == ["0", "1"]


@pytest.mark.parametrize(("text", "cores"), [("150000 100000", 2), ("max 100000", 64), ("", 64)])
def test_a_containers_share_of_the_cores_is_known(tmp_path, monkeypatch, text, cores):
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(_machine, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert _machine.cores() == cores


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"workers": 0}, "workers must be at least 1, got 0; set executor.workers"),
        ({"threads": 0}, "threads must be at least 1, got 0; set executor.threads"),
        ({"gpus": 0}, "gpus must be at least 1, got 0; set executor.gpus"),
        ({"gpus": 3}, "a worker takes 3 GPUs, and there are 2; set executor.gpus"),
        ({"devices": [7]}, r"GPUs of this machine \(0, 1\), got 7; set executor.devices"),
    ],
)
def test_options_are_checked(machine, options, sentence):
    machine("0 1")
    with pytest.raises(ConfigError, match=sentence):
        processes(**options)


def test_a_job_that_takes_too_long_has_failed_and_the_others_go_on(jobs, trouble):
    executor = processes(workers=1, timeout=2.0)
    executor.start()
    slow, quick = executor.run([trouble("hang"), *jobs(2)])
    executor.close()
    assert (slow.status, slow.reason) == ("failed", "took longer than 2 s; set executor.timeout")
    assert quick.fitness == 2


PARENT = """
import signal, sys
from evoforge.executor.base import Job
from evoforge.executor.processes import Processes
from evoforge.recipe import Recipe
from tests.executor.trouble import evaluate, made_there
if __name__ == "__main__":
    # What a shell starts in the background ignores Ctrl-C, and so does all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hang = {"number": 1, "trouble": "hang", "times": 1}
    executor = Processes(evaluate, made_there, workers=2)
    executor.start()
    executor.submit(Job(Recipe({**hang, "file": sys.argv[1] + "/hang"}), ()))
    try:
        print(*[seat.worker.pid for seat in executor._seats], flush=True)
        executor.finished()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        executor.close()
"""


@pytest.fixture
def parent(tmp_path):
    """A process with two workers, one of them at work, in a group of its own; and its workers."""
    (tmp_path / "parent.py").write_text(PARENT)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), str(tmp_path)],
        env={**environment(), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    workers = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    yield process, workers
    if process.poll() is None:
        process.kill()
    process.stdout.close()
    process.wait()


def test_no_worker_outlives_its_parent(parent):
    process, workers = parent
    process.kill()
    assert psutil.wait_procs(workers, timeout=5)[1] == []


def test_ctrl_c_is_the_parents_to_decide(parent):
    process, workers = parent
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert out == "interrupted\n"
    assert psutil.wait_procs(workers, timeout=5)[1] == []


def test_a_worker_takes_with_it_what_it_started(jobs, trouble):
    executor = processes(workers=1)
    (found,) = executor.run([trouble("start")])
    child = psutil.Process(json.loads(found.reason)["child"])
    executor._seats[0].worker.kill()
    deadline = time.monotonic() + 5
    while child.is_running() and child.status() != "zombie" and time.monotonic() < deadline:
        time.sleep(0.05)
    executor.close()
    assert not child.is_running() or child.status() == "zombie"
