"""What the tests of faults share: copies of models that may be harmed, and a whole small run."""

import shutil
import time

import pytest

from evoforge import session
from evoforge.stopping import Wish

SMALL = [
    "budget.evaluations=4",
    "optimizer.population=4",
    "finalists=1",
    "fitness.size=4",
    "task.items.search=4",
    "task.items.select=4",
    "task.items.test=4",
    "task.max_new_tokens=4",
    "tracker=[]",
]


@pytest.fixture
def own(pico, tmp_path):
    """The folders of models that the test may change, by name."""
    return {name: shutil.copytree(path, tmp_path / name) for name, path in pico.items()}


@pytest.fixture(scope="session")
def few(pico):
    """The folders of a base and one model, for runs that take a second."""
    return {name: pico[name] for name in ("base", "a")}


@pytest.fixture(scope="session")
def configured(compose):
    """Return the configuration of a small run over models: `configured(folders, *overrides)`."""

    def make(folders, *overrides):
        cfg = compose(*SMALL, *overrides)
        sources = {
            name: {"path": str(path), "role": "base" if name == "base" else "source"}
            for name, path in folders.items()
        }
        cfg["models"] = {"_target_": "evoforge.models.pool.open_pool", "sources": sources}
        return cfg

    return make


def go(cfg, folder):
    """Do a run, or go on with it, as `python run.py` does."""
    session.run(cfg, folder, started=time.monotonic(), may_exist=True)


@pytest.fixture
def unasked():
    """Whoever is asked to stop in this test is asked no longer after it."""
    yield
    Wish.asked = None
