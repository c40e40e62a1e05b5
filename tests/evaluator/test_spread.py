"""Models in several places: main memory and mapped files; GPUs are in tests/gpu."""

import os
from pathlib import Path

import pytest
import torch

from evoforge.errors import ConfigError
from evoforge.evaluator import _spread as spread_module
from evoforge.evaluator._live import LiveModel
from evoforge.evaluator._spread import Spread, is_spread
from evoforge.evaluator.hf import Hf
from evoforge.merge.dfs import Dfs
from evoforge.merge.ties import Ties
from evoforge.path import Hop
from evoforge.task.generation import Generation
from tests.conftest import open_pico
from tests.loop import WEIGHT, Sums

LAST = {"": "cpu", "model.layers.3": "disk"}
MIXED = {"": "disk", "model.embed_tokens": "cpu", "model.layers.1": "cpu", "lm_head": "cpu"}
HOPS = [Hop("a", 0, 1.1), Hop("b", 3, -0.8), Hop("a", 3, 1.2), Hop("b", 3, 0.9), Hop("a", 3)]


@pytest.fixture
def task():
    return Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=6)


def soup(pool):
    merger = Ties(pool, weight=WEIGHT)
    return merger.build(merger.recipe(merger.space.init))


def path(pool):
    merger = Dfs(pool, sources=["a", "b"])
    return merger.build(merger.recipe_of(HOPS))


def places(model):
    return {
        name: "disk" if "evoforge_weights" in mapped_by(tensor) else tensor.device.type
        for name, tensor in model.named_parameters()
    }


def mapped_by(tensor):
    """Return the file that a tensor's memory is mapped from, as the kernel says."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        low, high = (int(number, 16) for number in line.split()[0].split("-"))
        if low <= tensor.data_ptr() < high:
            return line.split(maxsplit=5)[5] if line.count("/") else ""
    raise AssertionError("a tensor in no memory")


@pytest.mark.parametrize("device_map", [{"": "cpu"}, LAST, MIXED])
@pytest.mark.parametrize("make", [soup, path])
def test_a_spread_model_says_what_a_model_in_one_place_says(pool, task, device_map, make):
    plain, spread = Hf(task, pool, device="cpu"), Hf(task, pool, device_map=device_map)
    candidate, items = make(pool), task.items("search")
    for mine, other in zip(
        spread.logits(candidate, items), plain.logits(candidate, items), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)
    found, wanted = (e.evaluate(candidate, items) for e in (spread, plain))
    assert found.status == wanted.status == "ok"
    assert [r.completion for r in found.results] == [r.completion for r in wanted.results]


def test_weights_lie_where_the_map_says_and_are_merged_there(pool):
    live = LiveModel(pool, device=Spread("auto", LAST), attention="sdpa")
    found = places(live.model)
    assert {name for name, where in found.items() if where == "disk"} == {
        name for name in found if name.startswith("model.layers.3.")
    }
    candidate = soup(pool)
    live.write(candidate)
    state = live.model.state_dict()
    assert all(torch.equal(state[name], candidate.tensor(name)) for name in candidate.names)
    assert is_spread(live.model)


def test_the_files_of_weights_are_gone_with_the_process(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(spread_module.tempfile, "tempdir", str(tmp_path))
    live = LiveModel(pool, device=Spread("auto", {"": "disk"}), attention="sdpa")
    assert set(places(live.model).values()) == {"disk"}
    assert not list(tmp_path.iterdir())


def test_what_does_not_fit_into_memory_goes_to_the_disk(pool):
    size = sum(tensor.nbytes for tensor in pool.reference.tensors.values())
    spread = Spread("auto", "auto", {"cpu": size * 2 // 3})
    found = places(LiveModel(pool, device=spread, attention="sdpa").model)
    assert found["model.layers.0.mlp.up_proj.weight"] == "cpu"
    assert found["model.layers.3.mlp.up_proj.weight"] == "disk"


@pytest.mark.parametrize("kind", ["auto", "balanced"])
def test_a_model_that_fits_stays_in_one_place(pool, kind):
    live = LiveModel(pool, device=Spread("auto", kind), attention="sdpa")
    assert set(places(live.model).values()) == {"cuda" if torch.cuda.is_available() else "cpu"}


def test_tied_weights_stay_tied(save_pico):
    tied = save_pico("tied", seed=1, tie_word_embeddings=True)
    pool = open_pico({"base": tied, "a": save_pico("a", seed=2, near=tied)})
    live = LiveModel(pool, device=Spread("auto", {"": "disk"}), attention="sdpa")
    assert live.model.lm_head.weight is live.model.model.embed_tokens.weight
    with pytest.raises(ConfigError, match=r"model.embed_tokens and lm_head share their weights"):
        LiveModel(pool, device=Spread("auto", {"": "disk", "lm_head": "cpu"}), attention="sdpa")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ("auto", "some"),
            "must be null, auto, balanced or a mapping .*, got some; set",
        ),
        (("cpu", "auto"), "device=cpu puts it on one; set evaluator.device_map=null, or evaluator"),
        (("auto", {"": "cuda:99"}), "CUDA device.* cuda:99; set"),
        (("auto", {"": "nonsense"}), "device must be auto, cpu, cuda or cuda:N, got nonsense"),
        (("auto", {"": "auto"}), "must name a device for each module: cpu, cuda:N or disk; set"),
        (("auto", None, {"cpu": "1GiB"}), "set evaluator.device_map=auto with it"),
        (("auto", "auto", {"cpu": "much"}), "such as 20GiB, got 'much' for cpu; set evaluator.max"),
    ],
)
def test_options_that_make_no_sense_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        Spread(*given)


@pytest.mark.parametrize(
    ("device_map", "message"),
    [
        ({"model": "cpu"}, "device_map says nothing of lm_head; set evaluator.device_map, with ''"),
        (
            {"": "cpu", "model.layers.2.mlp": "disk"},
            r"device_map cuts model.layers.2 in two \(cpu, disk\), and a layer lies in one place",
        ),
    ],
)
def test_maps_that_do_not_fit_the_model_are_refused(pool, device_map, message):
    with pytest.raises(ConfigError, match=message):
        LiveModel(pool, device=Spread("auto", device_map), attention="sdpa")


def test_a_full_disk_is_said_before_anything_is_written(pool, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ConfigError, match=r"no room for weights in .* \(No space left on device\)"):
        LiveModel(pool, device=Spread("auto", {"": "disk"}), attention="sdpa")
