"""Pools of names and shapes: what a run would need is known before any weight is read."""

import json
from types import SimpleNamespace

import pytest

from evoforge.errors import PoolError
from evoforge.models import blueprint as blueprint_module
from evoforge.models.blueprint import blueprint
from evoforge.models.pool import open_pool
from evoforge.models.spec import SourceSpec


def sources(folders):
    role = {"base": {"role": "base"}}
    return {n: {"path": str(p), **role.get(n, {})} for n, p in folders.items()}


def facts(tensors):
    return {name: (tuple(tensors.shape(name)), tensors.dtype(name)) for name in tensors}


def test_a_planned_pool_has_the_names_shapes_and_types_and_reads_nothing(pico, pool):
    planned = open_pool(True, sources=sources(pico))
    for source in pool.members:
        mine = planned.tensors(source.name)
        assert facts(mine) == facts(pool.tensors(source.name))
        assert all(mine[name].is_meta for name in mine)
    assert planned.model_config().to_dict() == pool.model_config().to_dict()


def test_shards_are_found_by_their_index(save_pico):
    folder = save_pico("sharded", seed=1, max_shard_size="4KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    spec = SourceSpec("a", str(folder))
    assert facts(blueprint(spec, folder, hub=False)) == facts(
        open_pool(sources=sources({"a": folder})).tensors("a")
    )


def test_settings_alone_tell_names_and_shapes(pico, pool, tmp_path):
    (tmp_path / "config.json").write_bytes((pico["base"] / "config.json").read_bytes())
    found = blueprint(SourceSpec("a", str(tmp_path)), tmp_path, hub=False)
    assert facts(found) == facts(pool.tensors("base"))


def test_the_hub_is_asked_for_headers_and_no_weights(pico, pool, tmp_path, monkeypatch):
    fetched, asked = [], []

    def snapshot(path, *, revision, allow_patterns, ignore_patterns):
        fetched.extend(allow_patterns)
        return str(settings)

    def metadata(path, *, revision):
        from huggingface_hub.utils import SafetensorsFileMetadata

        asked.append((path, revision))
        header = (pico["a"] / "model.safetensors").read_bytes()
        size = int.from_bytes(header[:8], "little")
        content = json.loads(header[8 : 8 + size])
        content.pop("__metadata__", None)
        tensors = {
            name: SimpleNamespace(dtype=one["dtype"], shape=one["shape"])
            for name, one in content.items()
        }
        assert SafetensorsFileMetadata  # what the hub's library returns has the same fields
        return SimpleNamespace(files_metadata={"model": SimpleNamespace(tensors=tensors)})

    settings = tmp_path / ("0" * 40)
    settings.mkdir()
    for path in pico["a"].iterdir():
        if path.suffix != ".safetensors":
            (settings / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    monkeypatch.setattr("huggingface_hub.get_safetensors_metadata", metadata)
    planned = open_pool(True, sources={"a": {"path": "o/a", "revision": "v1"}})
    assert asked == [("o/a", "v1")]
    assert not any("safetensors" in pattern for pattern in fetched)
    assert facts(planned.tensors("a")) == facts(pool.tensors("a"))
    assert planned.member("a").revision == "0" * 40


def test_a_hub_that_does_not_answer_is_said(monkeypatch):
    def silent(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.get_safetensors_metadata", silent)
    with pytest.raises(PoolError, match=r"cannot ask the hub for the sizes of o/a \(no route\)"):
        blueprint_module._of_hub(SourceSpec("a", "o/a"))


def test_a_damaged_file_is_said(save_pico, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(PoolError, match="is not a readable safetensors file"):
        blueprint(SourceSpec("a", str(tmp_path)), tmp_path, hub=False)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(PoolError, match="is not an index of safetensors"):
        blueprint(SourceSpec("a", str(tmp_path)), tmp_path, hub=False)


@pytest.mark.parametrize("family", ["llava"])
def test_models_that_see_and_vocabularies_are_planned_too(vlms, family):
    folders = vlms(family)
    vlm = {"vlm": {"path": str(folders["vlm"])}, "llm": {"path": str(folders["llm"])}}
    given = {"sources": vlm, "tokenizer": "vlm"}
    planned, real = open_pool(True, **given), open_pool(**given)
    for name in ("vlm", "llm"):
        assert facts(planned.tensors(name)) == facts(real.tensors(name))
    assert planned.vision.frozen.keys() == real.vision.frozen.keys()
    assert all(tensor.is_meta for tensor in planned.vision.frozen.values())
