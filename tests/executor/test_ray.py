"""Workers that Ray starts: what they ask of a cluster, and what is said when it has nothing."""

import signal
import subprocess
import sys

import psutil
import pytest

from evoforge.errors import ConfigError, SearchError
from evoforge.executor import _guard
from evoforge.executor import ray as executor_ray
from evoforge.executor._actor import _reason
from evoforge.executor.ray import Ray
from tests.executor.trouble import evaluate, made_there


@pytest.fixture
def ray(ray_cluster):
    """The module, imported by whoever starts the cluster, as Ray reads its settings then."""
    import ray

    return ray


def by_ray(**options):
    return Ray(evaluate, made_there, **options)


@pytest.fixture
def nodes(monkeypatch):
    """Return what gives the cluster nodes, of (CPUs, GPUs) each."""

    def have(*sizes):
        found = [{"Alive": True, "Resources": {"CPU": c, "GPU": g}} for c, g in sizes]
        monkeypatch.setattr(executor_ray, "_nodes", lambda: found)
        monkeypatch.setattr(Ray, "_connect", lambda self: None)

    return have


@pytest.mark.parametrize(
    ("sizes", "options", "workers"),
    [
        ([(8, 0)], {"gpus": 0}, 8),
        ([(8, 0)], {"gpus": 0, "threads": 3}, 2),
        ([(8, 0)], {"gpus": 0, "threads": 4, "cpus": 0.5}, 16),
        ([(8, 2), (8, 4)], {"gpus": 1}, 6),
        ([(8, 2), (8, 1)], {"gpus": 0.5}, 6),
        # Two halves on two nodes are no whole.
        ([(8, 3), (8, 3)], {"gpus": 2}, 2),
        ([(1, 4)], {"gpus": 1}, 1),
        ([(1, 0)], {"gpus": 1, "workers": 9}, 9),
    ],
)
def test_there_are_as_many_workers_as_the_nodes_have_room_for(nodes, sizes, options, workers):
    nodes(*sizes)
    assert by_ray(**options).workers == workers


def test_a_cluster_whose_nodes_are_too_small_is_named(nodes):
    nodes((8, 1), (8, 1))
    with pytest.raises(ConfigError, match=r"has 1 CPUs and 2 GPUs, which a worker takes; set exec"):
        _ = by_ray(gpus=2).workers


def test_a_cluster_that_has_nothing_free_is_waited_for_and_then_named(ray_cluster, jobs):
    executor = by_ray(workers=1, cpus=1000, wait=1.0)
    with pytest.raises(SearchError, match="had nothing free for 1 s, and a worker takes 1000 CPUs"):
        list(executor.run(jobs(1)))
    executor.close()


def test_a_cluster_that_is_there_already_stays(ray, jobs):
    executor = by_ray(workers=1)
    assert [found.fitness for found in executor.run(jobs(3))] == [3]
    executor.close()
    assert ray.is_initialized()


def test_without_ray_the_user_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(executor_ray, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'evoforge\[ray\]'"):
        by_ray()


def test_a_cluster_that_is_not_there_is_named(ray, monkeypatch):
    def init(**options):
        raise ConnectionError("Could not find any running Ray instance.\nMore lines")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(ConfigError, match=r"joined at auto \(Could not .* instance.\); start one"):
        by_ray(address="auto").start()


def test_a_run_that_is_a_task_of_ray_does_not_wait_for_its_own_workers(ray, monkeypatch):
    class Context:
        class worker:  # noqa: N801
            mode = ray.WORKER_MODE

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "get_runtime_context", Context)
    with pytest.raises(ConfigError, match="itself a task of Ray.*set executor=processes"):
        by_ray().start()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"workers": 0}, "workers must be at least 1, got 0; set executor.workers"),
        ({"gpus": -0.5}, "gpus must be at least 0, got -0.5; set executor.gpus"),
        ({"cpus": 0}, "cpus must be above 0, got 0; set executor.cpus"),
        ({"wait": 0}, "wait must be above 0, got 0; set executor.wait"),
    ],
)
def test_options_are_checked(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        by_ray(**options)


@pytest.mark.parametrize(
    ("kind", "text", "known"),
    [
        ("OutOfMemoryError", "Task was killed", "was ended by Ray, for its node ran out of memory"),
        ("RayError", "the node is running low on memory", "ran out of memory"),
        ("RayError", "pid: 17. The actor died because its node has died", "was lost with its node"),
        ("RayError", "pid: 17. SYSTEM_ERROR", "died, perhaps for want of memory"),
    ],
)
def test_what_is_known_of_a_death_names_no_process(ray, kind, text, known):
    reason = _reason(ray, getattr(ray.exceptions, kind)(text))
    assert known in reason
    assert "17" not in reason


def test_the_guard_ends_what_its_parent_left(tmp_path):
    """A cluster takes seconds to start, so here are two processes that only sleep."""
    sleep = [sys.executable, "-c", "import time; time.sleep(1000)"]
    processes = [subprocess.Popen(sleep) for _ in range(2)]
    left, spared = (psutil.Process(process.pid) for process in processes)
    guard = _guard.Guard([left])
    # Another process by now has the number that this one had.
    print(spared.pid, spared.create_time() - 1, file=guard._process.stdin, flush=True)
    guard.close()  # its input ends, as it does when whoever held it is gone
    assert processes[0].wait(timeout=5) == -signal.SIGKILL
    assert processes[1].poll() is None
    processes[1].kill()
    processes[1].wait()
