"""`preflight=true` as a user meets it, and what it counts."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from evoforge import preflight as preflight_module
from evoforge import session
from evoforge.demand.machine import GIB, Machine
from evoforge.errors import ConfigError, EvoforgeError
from evoforge.executor._machine import cores
from evoforge.fitness.proxy_then_full import ProxyThenFull
from evoforge.fitness.racing import Racing
from evoforge.fitness.subset import Subset
from evoforge.preflight import prospect, rounds
from evoforge.task.generation import Generation
from tests.loop import Sums
from tests.test_run import own_models

MACHINE = Machine(
    name="made up", flops=1e12, bandwidth=1e11, bus=1e10, call=0.0, memory=GIB, disk=GIB
)
FAST = ["task.items.search=8", "task.items.select=4", "task.items.test=4"]


@pytest.fixture
def quick(monkeypatch):
    """A machine that need not be measured."""
    monkeypatch.setattr(preflight_module, "probe", lambda *_: MACHINE)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))


def test_the_command_says_what_a_run_would_need_and_leaves_nothing(tmp_path, pico, forks):
    command = [*own_models(tmp_path, pico)[1:], "models=mine", "preflight=true"]
    command.append("optimizer.population=9")
    before = files(tmp_path)
    done = forks.run(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path) in (before, sorted([*before, "outputs"]))
    text = done.stdout
    assert "180 candidates and 8 baselines; a candidate answers 128" in " ".join(text.split())
    for part in ("live model", "keys and values", "whole run", "GPUs that hold one", "disk: model"):
        assert part in text


def test_no_weights_are_read(tmp_path, pico, quick, compose, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a tensor was read")

    monkeypatch.setattr("evoforge.models.weights.read_file", refuse)
    monkeypatch.setattr(safe_open, "get_tensor", refuse, raising=False)
    cfg = compose(*FAST)
    cfg["models"] = {**cfg["models"], "sources": own(pico)}
    found = prospect(cfg, tmp_path)
    weights = sum(torch.Size(one["shape"]).numel() for one in header(pico["base"]).values())
    assert found.shape.weights == weights
    assert sum(found.setup.stored) == 4 * 4 * weights


def own(pico):
    role = {"base": {"role": "base"}}
    return {name: {"path": str(path), **role.get(name, {})} for name, path in pico.items()}


def header(folder):
    content = (folder / "model.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    found = json.loads(content[8 : 8 + size])
    found.pop("__metadata__", None)
    return found


def test_every_merge_has_an_outlook(merge_option, quick, compose, tmp_path):
    cfg = compose(f"merge={merge_option}", *FAST)
    if merge_option == "mergekit":
        with pytest.raises(EvoforgeError, match=r"set merge\.file"):
            prospect(cfg, tmp_path)
        return
    found = prospect(cfg, tmp_path)
    assert found.genes > 0
    assert found.shape.layers == 8
    assert found.memory > found.shape.bytes
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("evaluator", "task"),
    [("hf", "bundled_math_ja"), ("auto", "bundled_math_ja"), ("vllm", "bundled_math_ja")],
)
def test_every_evaluator_has_an_outlook(evaluator, task, quick, compose, tmp_path):
    found = prospect(compose(f"evaluator={evaluator}", f"task={task}", *FAST), tmp_path)
    assert found.setup.engine == ("vllm" if evaluator == "vllm" else "hf")
    assert found.work.search.written == 48


@pytest.mark.parametrize(
    ("overrides", "workers"),
    [
        (["executor=local"], 1),
        (["executor=processes"], None),
        (["executor=processes", "executor.workers=3"], 3),
    ],
)
def test_there_are_as_many_workers_as_the_run_will_have(
    overrides, workers, quick, compose, tmp_path
):
    found = prospect(compose(*overrides, *FAST), tmp_path)
    assert found.setup.workers == (workers or cores())


def test_one_process_is_one_worker_however_many_gpus_there_are(
    quick, compose, tmp_path, monkeypatch
):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert prospect(compose("executor=local", *FAST), tmp_path).setup.workers == 1


def test_options_of_no_search_are_refused_as_in_the_run(quick, compose, tmp_path):
    with pytest.raises(ConfigError, match=r"searches of this run \(search\), got dsf; set stages"):
        prospect(compose("+stages.dsf.optimizer.population=9", *FAST), tmp_path)


def test_models_that_see_have_an_outlook(quick, compose, tmp_path):
    found = prospect(compose("experiment=miniature_vlm", *FAST), tmp_path)
    assert found.shape.layers == 6
    assert found.work.search.read > 10


@pytest.mark.parametrize("models", ["evollm_jp", "evovlm_jp"])
def test_without_network_models_of_the_hub_are_one_sentence(models, quick, compose, tmp_path):
    with pytest.raises(EvoforgeError, match=r"cannot get .* from the hub"):
        prospect(compose(f"models={models}", *FAST), tmp_path)


def test_a_path_counts_every_model_and_its_longest_way(quick, compose, tmp_path):
    given = ["merge=dfs", "merge.sources=[ja,math_a]", "merge.repeats=2", *FAST]
    found = prospect(compose(*given, "merge.max_hops=null"), tmp_path)
    assert (found.setup.models, found.setup.merged) == (2, 0)
    assert found.setup.depth == 2 * 2 * 8 + 1
    assert prospect(compose(*given, "merge.max_hops=10"), tmp_path).setup.depth == 10


def test_two_searches_share_the_budget(quick, compose, tmp_path):
    given = ["merge=ties_dfs", "budget.evaluations=20", "optimizer.population=4", *FAST]
    found = prospect(compose(*given), tmp_path)
    assert found.work.candidates == 12 + 4  # whole generations of each part
    assert found.work.finalists == 10


def test_what_only_time_limits_is_left_open(quick, compose, tmp_path):
    given = ["budget.evaluations=null", "budget.minutes=5", *FAST]
    assert prospect(compose(*given), tmp_path).work.candidates is None


@pytest.fixture
def items():
    return Generation(name="t", items=Sums(), prompt="{question}").items("search")


def test_rounds_are_those_of_candidates_that_are_all_alike(items):
    told = [(len(i), count, proxy) for i, count, proxy in rounds(Subset(items, size=8), 4)]
    assert told == [(8, 4, False)]
    raced = [(len(i), count) for i, count, _ in rounds(Racing(items, size=12, block=3), 4)]
    assert raced == [(3, 4), (3, 4), (6, 4)]  # nobody falls behind
    fitness = ProxyThenFull(items, size=8, promote=0.5)
    told = [(len(i), count, proxy) for i, count, proxy in rounds(fitness, 4)]
    assert told == [(8, 4, True), (8, 2, False)]


def test_preflight_is_true_or_false(compose, tmp_path):
    with pytest.raises(EvoforgeError, match="preflight must be true or false, got 'perhaps'"):
        session.outlook(compose("preflight=perhaps"), tmp_path)
