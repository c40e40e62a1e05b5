"""Whole runs on real items, where EVOFORGE_DATA_DIR has them, with the bundled models."""

import json
import os
import time
from pathlib import Path

import pytest

from evoforge import session
from evoforge.record import Record

DATA = Path(os.environ.get("EVOFORGE_DATA_DIR", "nowhere"))
pytestmark = pytest.mark.skipif(
    not (DATA / "mgsm").is_dir(), reason="EVOFORGE_DATA_DIR names no folder with mgsm/"
)
SMALL = ("models=bundled", "optimizer.population=4", "budget.evaluations=4", "tracker=[]")
PARTS = ("search", "select", "test")


def shortened(items, count):
    return [f"{items}.{part}.take={count}" for part in PARTS]


def run(compose, folder, *overrides):
    cfg = compose(*SMALL, f"data_dir={DATA}", *overrides)
    session.run(cfg, folder, started=time.monotonic(), may_exist=False)
    return json.loads((folder / "result.json").read_text())


def test_the_papers_task_runs_on_the_bundled_models(compose, tmp_path):
    options = ["task=mgsm_ja", "finalists=1", "fitness.size=3", *shortened("task.items", 4)]
    result = run(compose, tmp_path / "run", *options, "task.max_new_tokens=24")
    assert result["status"] == "finished"
    assert result["winner"]["test"]["items"] == 4
    assert set(result["baselines"]) >= {"base", "ja", "math_a", "math_b", "uniform_soup"}
    assert result["protocol"]["name"] == "mgsm_ja"
    assert result["protocol"]["search"] == {"repeats": 4}
    assert result["protocol"]["hash"] != result["protocol"]["search_hash"]


def test_a_suite_with_a_limit_weighs_its_tasks(compose, tmp_path):
    names = [f"jp_lmeh6.tasks.{name}" for name in ("jcola", "jnli", "jsquad", "jcommonsenseqa")]
    names += ["mgsm_ja", "jp_lmeh6.tasks.xwinograd_ja", "jp_lmeh6.tasks.jp_mgsm"]
    options = [o for name in names for o in shortened(f"task.tasks.{name}.items", 8)]
    options += [f"task.tasks.{name}.max_new_tokens=8" for name in (names[2], names[4], names[6])]
    options += ["task.tasks.jp_lmeh6.tasks.jp_mgsm.too_long=cut", "fitness.size=14", "finalists=1"]
    result = run(compose, tmp_path / "run", "task=mgsm_ja_jp_lmeh6", *options)
    assert result["status"] == "finished"
    metrics = result["winner"]["test"]["metrics"]
    own = [metrics[f"jp_lmeh6/{name.rpartition('.')[2]}/{metric}"] for name, metric in METRICS]
    assert metrics["jp_lmeh6/score"] == pytest.approx(sum(own) / 6)
    assert metrics["violation"] == pytest.approx(max(0.0, 0.6 - metrics["jp_lmeh6/score"]))
    record = Record.open(tmp_path / "run")
    item_set = record.evaluation(record.roles()["winner", "test"]).item_set
    weights = dict(zip(record.items(item_set), record.weights(item_set), strict=True))
    record.close()
    assert sum(weights.values()) == pytest.approx(1)
    assert {w for item, w in weights.items() if item.startswith("jp_lmeh6/")} == {0.0}


METRICS = [
    ("jcola", "balanced_acc"),
    ("jnli", "acc"),
    ("jsquad", "exact_match"),
    ("jcommonsenseqa", "acc"),
    ("xwinograd_ja", "acc"),
    ("jp_mgsm", "acc"),
]
