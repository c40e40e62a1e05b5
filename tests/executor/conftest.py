"""Toy jobs: recipes that differ in a number, and an evaluation that gives it back."""

import pytest

from evoforge.config import build
from evoforge.executor.base import Job
from evoforge.recipe import Recipe
from tests.executor.trouble import evaluate, made_there

# Of executors with workers: few, that are quickly known to be frozen.
CREW = ["executor.workers=2", "executor.heartbeat=3"]
# All of them share one cluster.
SHARE = {"ray": ["executor.cpus=0.1"]}


@pytest.fixture
def jobs():
    """Return a maker of jobs: `jobs(3, 1, 2)`."""
    return lambda *numbers: [Job(Recipe({"number": number}), ()) for number in numbers]


@pytest.fixture
def trouble(tmp_path):
    """Return a maker of a job that makes trouble, by default the first time only."""

    def make(kind, number=1, times=1):
        file = tmp_path / f"{kind}-{number}"
        content = {"number": number, "trouble": kind, "times": times, "file": str(file)}
        return Job(Recipe(content), ())

    return make


@pytest.fixture(scope="session")
def ray_cluster():
    """One cluster for all tests, which executors join; a list of what to close before it ends."""
    pytest.importorskip("ray", reason="ray is not installed; pip install 'evoforge[ray]'")
    import logging
    import signal

    from evoforge.executor.ray import STORE, _prepare

    _prepare(alone=True)
    import ray

    before = signal.getsignal(signal.SIGTERM)
    ray.init(
        address="local",
        num_cpus=8,
        include_dashboard=False,
        object_store_memory=STORE,
        logging_level=logging.ERROR,
        log_to_driver=False,
        configure_logging=False,
    )
    signal.signal(signal.SIGTERM, before)
    members = []
    yield members
    for executor in members:
        executor.close()
    ray.shutdown()


@pytest.fixture(scope="session")
def crews(compose, request):
    """Return what builds an executor of toy jobs, or gives one that was built before."""
    built = {}

    def give(option, *overrides, make=made_there):
        members = request.getfixturevalue("ray_cluster") if option == "ray" else []
        settings = [] if option == "local" else [*CREW, *SHARE.get(option, []), *overrides]
        key = (option, make, *overrides)
        if key not in built:
            node = compose(f"executor={option}", *settings)["executor"]
            built[key] = build(node, "executor", evaluate=evaluate, make=make)
            members.append(built[key])
        return built[key]

    yield give
    for executor in built.values():
        executor.close()


@pytest.fixture(params=["processes", "ray"])
def crew_kind(request):
    """Each executor that has workers."""
    return request.param
