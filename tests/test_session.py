import json
import time

import pytest

from evoforge import export, session
from evoforge.errors import MergeError
from evoforge.record import Record

SMALL = [
    "merge=dfs",
    "merge.sources=[a,b]",
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
def run(compose, pico, tmp_path):
    """Return what does a small run over paths, or goes on with it."""
    cfg = compose(*SMALL)
    cfg["models"] = {
        "_target_": "evoforge.models.pool.open_pool",
        "sources": {name: {"path": str(pico[name])} for name in "ab"},
    }
    folder = tmp_path / "run"

    def do():
        session.run(cfg, folder, started=time.time(), may_exist=True)
        return folder

    return do


def test_a_path_that_may_not_be_exported_leaves_a_complete_run(run, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setitem(export.LIMITS, "float32", -1.0)
        for _ in range(2):  # going on says it again
            with pytest.raises(MergeError, match="says something else than the scored one"):
                run()
    record = Record.open(folder)
    assert record.finished
    record.close()
    assert json.loads((folder / "result.json").read_text())["winner"]["test"] is not None
    assert (folder / "path.png").is_file()
    assert not (folder / "model").exists()
    assert (run() / "model" / "fidelity.json").is_file()


def test_a_deleted_picture_of_the_path_is_drawn_again(run):
    folder = run()
    (folder / "path.png").unlink()
    run()
    assert (folder / "path.png").is_file()
