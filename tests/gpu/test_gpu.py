"""What must be the same on a GPU as on the processor: weights to the bit, answers, exports, runs.

Other tests never see a GPU, so that they are the same everywhere: see `make gpu`.
"""

import json
import logging
import os
import subprocess
import sys
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from evoforge.baseline import baselines
from evoforge.config import build
from evoforge.evaluator import hf
from evoforge.evaluator.hf import Hf
from evoforge.executor.base import Job
from evoforge.executor.processes import Processes
from evoforge.export import export
from evoforge.merge.base import Mergers, merger_class
from evoforge.merge.dare_ties import DareTies
from evoforge.models import resident
from evoforge.recipe import Recipe
from evoforge.record import Evaluation
from evoforge.task.generation import Generation
from tests.conftest import ROOT, open_pico
from tests.evaluator.test_hf_pictures import Shown
from tests.evaluator.test_hf_pictures import merged as merged_that_sees
from tests.evaluator.test_hf_pictures import path as path_that_sees
from tests.evaluator.test_spread import path, soup
from tests.forked import environment
from tests.loop import WEIGHT, Sums
from tests.merge.test_engine import METHODS, SHAPE, wholes
from tests.merge.test_laws import TENSOR, large
from tests.vlms import open_vlm

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU; see `make gpu`")

CUDA = torch.device("cuda")
MAKERS = pytest.mark.parametrize("make", [soup, path])


@pytest.fixture
def task():
    return Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("option", TENSOR)
def test_a_merge_has_the_bits_of_the_processors(option, dtype, compose, pool):
    merger = build(compose(f"merge={option}")["merge"], "merge", pool=pool)
    whole = large(merger, dtype)
    here = torch.empty(300, 1000, dtype=dtype)
    there = torch.empty(300, 1000, dtype=dtype, device=CUDA)
    for out in (here, there):
        merger.write(whole, out)
    assert torch.equal(here, there.cpu())


@pytest.mark.parametrize("method", METHODS)
def test_a_compiled_merge_has_the_bits_of_the_processors(method, pool, caplog):
    merger = merger_class(method)(pool, **METHODS[method])
    for dtype in (torch.float32, torch.bfloat16):
        for whole in wholes(merger, dtype):
            here = torch.empty(SHAPE, dtype=dtype)
            there = torch.empty(SHAPE, dtype=dtype, device=CUDA)
            merger._engine.compiles = False
            merger.write(whole, here)
            merger._engine.compiles = True
            with caplog.at_level(logging.WARNING):
                merger.write(whole, there)
            assert "without compiled code" not in caplog.text
            assert torch.equal(here, there.cpu())


@MAKERS
def test_a_model_says_the_same(pool, task, make):
    plain, fast = Hf(task, pool, device="cpu"), Hf(task, pool, device="cuda")
    items, candidate = task.items("search"), make(pool)
    pairs = zip(fast.logits(candidate, items), plain.logits(candidate, items), strict=True)
    for mine, other in pairs:
        torch.testing.assert_close(mine.cpu(), other, rtol=1e-3, atol=1e-3)
    found, wanted = (each.evaluate(candidate, items) for each in (fast, plain))
    assert found.status == wanted.status == "ok"
    assert [r.completion for r in found.results] == [r.completion for r in wanted.results]


@MAKERS
def test_a_model_on_a_gpu_and_in_main_memory_says_the_same(pool, task, make):
    device_map = {"": 0, "model.layers.1": "cpu", "lm_head": "cpu", "model.layers.3": "disk"}
    plain, spread = Hf(task, pool, device="cpu"), Hf(task, pool, device_map=device_map)
    items = task.items("search")
    pairs = zip(spread.logits(make(pool), items), plain.logits(make(pool), items), strict=True)
    for mine, other in pairs:
        torch.testing.assert_close(mine.cpu(), other.cpu(), rtol=1e-3, atol=1e-3)
    assert spread.evaluate(make(pool), items).status == "ok"


@pytest.mark.parametrize("make", [merged_that_sees, path_that_sees])
@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "gemma3"])
def test_a_model_that_sees_says_the_same(vlms, family, make):
    pool = open_vlm(vlms(family))
    task = Generation(name="t", items=Shown(), prompt="<image>{question}?", max_new_tokens=6)
    found = [
        Hf(task, pool, device=device).evaluate(make(pool), task.items("search"))
        for device in ("cuda", "cpu")
    ]
    assert [each.status for each in found] == ["ok", "ok"]
    answers = [[result.completion for result in each.results] for each in found]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", ["ja", "math_a", "uniform_soup"])
def test_bundled_models_answer_alike(name, compose):
    cfg = compose("task.items.search=96")
    pool = build(cfg["models"], "models")
    task = build(cfg["task"], "task")
    candidate = Mergers(pool).build(baselines(DareTies(pool, weight=WEIGHT))[name])
    items = task.items("search")[:96]
    answers = []
    for device in ("cuda", "cpu"):
        found = Hf(task, pool, device=device).evaluate(candidate, items)
        assert found.status == "ok", found.reason
        answers.append([result.completion for result in found.results])
    same = sum(mine == other for mine, other in zip(*answers, strict=True))
    assert same >= 0.95 * len(items)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_export_is_the_model_that_was_scored(pico, dtype, task, tmp_path):
    pool = open_pico(pico, dtype=dtype)
    merger = DareTies(pool, weight=WEIGHT)
    recipe = merger.recipe(merger.space.init)
    candidate, evaluator = merger.build(recipe), Hf(task, pool, device="cuda")
    assert evaluator.evaluate(candidate, task.items("search")).status == "ok"
    export(candidate, recipe, pool, tmp_path / "model", card="# card")
    written = load_file(tmp_path / "model" / "model.safetensors")
    for name, tensor in evaluator.live.model.state_dict().items():
        assert torch.equal(written[name], tensor.cpu()), name


def test_sources_that_have_no_room_come_anew_for_each_merge(pool, pico, task, monkeypatch):
    items = task.items("search")
    free = Hf(task, pool, device="cuda").evaluate(soup(pool), items)
    monkeypatch.setattr(resident, "room", lambda device: 0)
    other = open_pico(pico)
    tight = Hf(task, other, device="cuda").evaluate(soup(other), items)
    assert [r.completion for r in tight.results] == [r.completion for r in free.results]


def test_batches_are_halved_where_the_memory_of_the_gpu_ends(compose, monkeypatch):
    cfg = compose()
    pool, task = build(cfg["models"], "models"), build(cfg["task"], "task")
    candidate, items = soup(pool), task.items("search")[:256]
    evaluator = Hf(task, pool, device="cuda", batch_size=256)
    wanted = evaluator.evaluate(candidate, items)
    torch.cuda.empty_cache()
    kept = torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    evaluator.evaluate(candidate, items)
    most, total = torch.cuda.max_memory_reserved(), torch.cuda.mem_get_info()[1]
    torch.cuda.empty_cache()
    sizes = []

    class Counted(hf.Decoder):
        def __init__(self, *given, batch_size, **more):
            sizes.append(batch_size)
            super().__init__(*given, batch_size=batch_size, **more)

    monkeypatch.setattr(hf, "Decoder", Counted)
    try:
        torch.cuda.set_per_process_memory_fraction((kept + 0.7 * (most - kept)) / total)
        found = evaluator.evaluate(candidate, items)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert found.status == "ok", found.reason
    assert sizes == [256, 128]
    pairs = zip(found.results, wanted.results, strict=True)
    assert sum(a.completion == b.completion for a, b in pairs) >= 0.95 * len(items)


def report(job, place=None):
    """Return on which device a worker would evaluate, and what it sees."""
    facts = {"device": place.device, "seen": torch.cuda.device_count(), "pid": os.getpid()}
    return Evaluation(job.recipe.hash, "p", "i", "ok", 1.0, json.dumps(facts), score=1.0)


def reporting(place):
    return partial(report, place=place)


def test_each_worker_has_a_gpu_of_its_own():
    executor = Processes(make=reporting, evaluate=report)
    try:
        recipes = [Recipe({"number": number}) for number in range(4)]
        found = [json.loads(e.reason) for e in executor.run([Job(r, ()) for r in recipes])]
    finally:
        executor.close()
    assert executor.workers == torch.cuda.device_count()
    assert {(facts["device"], facts["seen"]) for facts in found} == {("cuda:0", 1)}
    assert os.getpid() not in {facts["pid"] for facts in found}


def run(*overrides, cwd):
    """Do a small run of the bundled models in a process of its own."""
    small = ["budget.evaluations=16", "finalists=2", "fitness.size=32", "baseline_items=32"]
    sizes = ["task.items.search=32", "task.items.select=32", "task.items.test=32"]
    found = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *small, *sizes, "tracker=[]", *overrides],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["executor=processes"],
        ["merge=dfs", "budget.evaluations=20"],
        ["merge=ties_dfs", "budget.evaluations=100"],
        ["executor=processes", "schedule=steady_state", "executor.workers=2"],
    ],
    ids=" ".join,
)
def test_a_whole_run(tmp_path, overrides):
    run("evaluator.device=cuda", "hydra.run.dir=run", *overrides, cwd=tmp_path)
    folder = tmp_path / "run"
    assert (folder / "report.html").is_file()
    model = load_file(folder / "model" / "model.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in model.values())


def test_preflight_knows_the_gpu(tmp_path):
    found = run("preflight=true", cwd=tmp_path)
    assert torch.cuda.get_device_name() in found.stdout
