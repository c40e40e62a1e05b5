import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from evoforge.models.weights import Weights
from evoforge.models.writing import write_tensors

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def tensors(dtype):
    torch.manual_seed(0)
    shapes = {"b.weight": (5, 3), "a.weight": (4,), "あ": (2, 2, 2), "scale": (), "none": (0, 3)}
    return {name: torch.randn(shape).to(dtype) for name, shape in shapes.items()}


def write(folder, given, **options):
    shapes = {name: tensor.shape for name, tensor in given.items()}
    dtype = next(iter(given.values())).dtype
    write_tensors(folder, shapes, dtype, given.__getitem__, **options)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_file_is_safetensors_own_to_the_byte(tmp_path, dtype):
    given = tensors(dtype)
    write(tmp_path, given)
    save_file(given, tmp_path / "theirs", metadata={"format": "pt"})
    assert (tmp_path / "model.safetensors").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_large_models_are_split_as_the_hub_splits_them(tmp_path):
    from huggingface_hub import save_torch_state_dict

    given = {f"layer{i}": torch.full((10 + i,), float(i)) for i in range(9)}
    (tmp_path / "mine").mkdir()
    (tmp_path / "theirs").mkdir()
    write(tmp_path / "mine", given, limit=120)
    save_torch_state_dict(given, tmp_path / "theirs", max_shard_size=120)
    files = sorted(path.name for path in (tmp_path / "theirs").iterdir())
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == files
    assert len(files) == 7  # the index is one of them
    for name in files:
        mine, theirs = (tmp_path / folder / name for folder in ("mine", "theirs"))
        if name.endswith(".safetensors"):
            assert mine.read_bytes() == theirs.read_bytes()
        else:
            mine, theirs = json.loads(mine.read_text()), json.loads(theirs.read_text())
            assert mine["weight_map"] == theirs["weight_map"]
            assert mine["metadata"]["total_size"] == theirs["metadata"]["total_size"]
    found = Weights(tmp_path / "mine")
    assert all(torch.equal(found[name], given[name]) for name in given)


def test_one_tensor_is_in_memory_at_a_time(tmp_path):
    import weakref

    alive = []

    def tensor(name):
        assert not any(other() is not None for other in alive), "the one before is still there"
        made = torch.zeros(8)
        alive.append(weakref.ref(made))
        return made

    write_tensors(tmp_path, {f"t{i}": (8,) for i in range(4)}, torch.float32, tensor)
    assert len(load_file(tmp_path / "model.safetensors")) == len(alive) == 4


def test_a_tensor_larger_than_a_file_has_one_of_its_own(tmp_path):
    given = {"a": torch.zeros(2), "large": torch.ones(100), "b": torch.zeros(2)}
    write(tmp_path, given, limit=64)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) == 3
