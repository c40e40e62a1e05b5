import json

import pytest
import torch
from safetensors.torch import save_file

from evoforge.errors import PoolError
from evoforge.models.weights import INDEX, SINGLE, Weights

TENSORS = {"a": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "b": torch.tensor([0.5])}


def store(folder, **changes):
    """Save the toy tensors in one file, some of them changed."""
    folder.mkdir(exist_ok=True)
    save_file({**TENSORS, **changes}, folder / SINGLE)
    return folder


def shard(folder, weight_map=None):
    """Save the toy tensors in a file each, with an index."""
    folder.mkdir(exist_ok=True)
    files = {name: f"model-{name}.safetensors" for name in TENSORS}
    for name, file in files.items():
        save_file({name: TENSORS[name]}, folder / file)
    index = {"weight_map": files if weight_map is None else weight_map}
    (folder / INDEX).write_text(json.dumps(index))
    return folder


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "model"


@pytest.fixture
def hashes(tmp_path):
    """Return what gives the hashes of the toy tensors with changes."""

    def of(**changes):
        return Weights(store(tmp_path / str(len(list(tmp_path.iterdir()))), **changes)).hashes()

    return of


def test_one_file_gives_the_tensors_that_were_saved(folder):
    weights = Weights(store(folder))
    assert sorted(weights) == ["a", "b"]
    assert all(torch.equal(weights[name], TENSORS[name]) for name in TENSORS)


def test_shards_give_the_same_tensors_and_hashes_as_one_file(tmp_path):
    one, many = Weights(store(tmp_path / "one")), Weights(shard(tmp_path / "many"))
    assert all(torch.equal(one[name], many[name]) for name in TENSORS)
    assert one.hashes() == many.hashes()


def test_shards_of_transformers_give_the_same_tensors_and_hashes_as_one_file(pico, save_pico):
    from transformers import AutoModelForCausalLM

    one = Weights(pico["a"])
    folder = pico["a"].parent / "sharded"
    AutoModelForCausalLM.from_pretrained(pico["a"]).save_pretrained(folder, max_shard_size="8KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    assert Weights(folder).hashes() == one.hashes()


def test_one_flipped_bit_changes_the_hash_of_its_tensor_alone(hashes):
    flipped = TENSORS["a"].clone()
    flipped.view(torch.int32)[1, 0] ^= 1
    before, after = hashes(), hashes(a=flipped)
    assert before["a"] != after["a"]
    assert before["b"] == after["b"]


def test_the_sign_of_a_zero_changes_the_hash(hashes):
    assert hashes(b=torch.tensor([0.0]))["b"] != hashes(b=torch.tensor([-0.0]))["b"]


def test_another_type_of_the_same_values_changes_the_hash(hashes):
    assert hashes()["a"] != hashes(a=TENSORS["a"].to(torch.bfloat16))["a"]


def test_another_type_of_the_same_bytes_changes_the_hash(hashes):
    assert hashes()["a"] != hashes(a=TENSORS["a"].view(torch.int32))["a"]


def test_another_shape_of_the_same_values_changes_the_hash(hashes):
    assert hashes()["a"] != hashes(a=TENSORS["a"].reshape(4))["a"]


@pytest.mark.parametrize("tensor", [torch.tensor(2.0), torch.zeros(0, 3), torch.tensor([True])])
def test_scalars_empty_tensors_and_booleans_have_hashes(hashes, tensor):
    assert len(hashes(b=tensor)["b"]) == 32


def test_a_discarded_tensor_is_gone_from_names_and_hashes(folder):
    weights = Weights(store(folder))
    weights.discard("a")
    assert list(weights) == ["b"]
    assert list(weights.hashes()) == ["b"]
    assert len(weights) == 1


def test_a_missing_shard_is_named(folder):
    shard(folder)
    (folder / "model-b.safetensors").unlink()
    with pytest.raises(PoolError, match=r"index\.json names model-b\.safetensors, which is not in"):
        Weights(folder)


@pytest.mark.parametrize("path", ["../x.safetensors", "sub/x.safetensors", "..", ""])
def test_a_shard_outside_the_folder_is_refused(folder, path):
    shard(folder, {"a": path})
    (folder / "sub").mkdir()
    for place in (folder / "../x.safetensors", folder / "sub/x.safetensors"):
        save_file(TENSORS, place)
    with pytest.raises(PoolError, match=r"names .*which is not in the folder; copy it there"):
        Weights(folder)


def test_a_shard_with_an_absolute_path_is_refused(folder, tmp_path):
    save_file(TENSORS, tmp_path / "x.safetensors")
    shard(folder, {"a": str(tmp_path / "x.safetensors")})
    with pytest.raises(PoolError, match=r"x\.safetensors, which is not in the folder"):
        Weights(folder)


@pytest.mark.parametrize("text", ["{", "{}", '{"weight_map": 3}', "\x80"])
def test_an_unreadable_index_is_named(folder, text):
    shard(folder)
    (folder / INDEX).write_bytes(text.encode("latin-1"))
    with pytest.raises(PoolError, match=r"index\.json is not an index of safetensors"):
        Weights(folder)


def test_a_truncated_file_is_named(folder):
    path = store(folder) / SINGLE
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(PoolError, match=r"model\.safetensors is not a readable safetensors file"):
        Weights(folder)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 64])
def test_a_corrupt_file_is_named_with_what_to_do(folder, content):
    (store(folder) / SINGLE).write_bytes(content)
    with pytest.raises(PoolError, match=r"model\.safetensors is not .*copy or download it again"):
        Weights(folder)


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.pt", "model.pth", "last.ckpt"])
def test_pickled_weights_are_refused_unopened(folder, file):
    folder.mkdir()
    (folder / file).write_bytes(b"whatever")
    with pytest.raises(PoolError, match=rf"only pickled weights \({file}\).*convert them to safet"):
        Weights(folder)


def test_pickled_weights_beside_safetensors_do_not_matter(folder):
    (store(folder) / "pytorch_model.bin").write_bytes(b"whatever")
    assert len(Weights(folder)) == 2


def test_a_folder_without_weights_says_what_is_missing(folder):
    folder.mkdir()
    with pytest.raises(PoolError, match=r"has no model\.safetensors and no model\.safetensors\.in"):
        Weights(folder)
