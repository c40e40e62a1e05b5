import json
import os

import pytest
import torch
from transformers import AutoModelForCausalLM

from evoforge.errors import PoolError
from evoforge.models.opening import open_source
from evoforge.models.pickled import read_pickled
from evoforge.models.spec import SourceSpec
from evoforge.models.weights import PICKLED_INDEX, PICKLED_SINGLE, Weights

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}


class Malicious:
    """What would run a command if it were unpickled without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


def weights(folder):
    return Weights(folder, pickled=True)


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_come_out_as_they_were_saved(tmp_path, zipped):
    torch.save(TENSORS, tmp_path / PICKLED_SINGLE, _use_new_zipfile_serialization=zipped)
    found = weights(tmp_path)
    assert list(found) == ["a", "b"]
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)
    assert found.dtype("b") == torch.bfloat16


def test_shards_are_found_by_their_index(tmp_path):
    files = {name: f"pytorch_model-{name}.bin" for name in TENSORS}
    for name, file in files.items():
        torch.save({name: TENSORS[name]}, tmp_path / file)
    (tmp_path / PICKLED_INDEX).write_text(json.dumps({"weight_map": files}))
    assert weights(tmp_path).hashes().keys() == TENSORS.keys()
    (tmp_path / files["b"]).unlink()
    with pytest.raises(PoolError, match=r"names pytorch_model-b\.bin, which is not in the folder"):
        weights(tmp_path)


def test_parameters_come_out_as_plain_tensors(tmp_path):
    torch.save({"a": torch.nn.Parameter(TENSORS["a"])}, tmp_path / PICKLED_SINGLE)
    assert not weights(tmp_path)["a"].requires_grad


def test_without_the_wish_the_refusal_names_the_option(tmp_path, bare, remake):
    folder = remake("x")
    (folder / "model.safetensors").unlink()
    torch.save(TENSORS, folder / PICKLED_SINGLE)
    source = open_source(SourceSpec("a", str(folder)))
    with pytest.raises(PoolError, match=r"only pickled weights .*models\.sources\.a\.pickled=true"):
        _ = source.tensors
    assert set(open_source(SourceSpec("a", str(folder), pickled=True)).tensors) == {"a", "b"}


def test_safetensors_come_before_pickles(pico):
    folder = pico["a"].parent / "both"
    model = AutoModelForCausalLM.from_pretrained(pico["a"])
    model.save_pretrained(folder)
    torch.save(TENSORS, folder / PICKLED_SINGLE)
    assert weights(folder).hashes() == Weights(pico["a"]).hashes()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("beside", [{}, TENSORS])
def test_a_pickle_that_would_run_code_is_refused_and_does_not(tmp_path, zipped, beside):
    content = {**beside, "x": Malicious(tmp_path / "was_run")}
    torch.save(content, tmp_path / PICKLED_SINGLE, _use_new_zipfile_serialization=zipped)
    with pytest.raises(PoolError, match=r"asks for more than plain tensors, which could run code"):
        weights(tmp_path)
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize(
    "content", [{"a": 3}, [1, 2], {"a": {"b": torch.ones(1)}}, {1: torch.ones(1)}]
)
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / PICKLED_SINGLE)
    with pytest.raises(PoolError, match="is no state dict of tensors by name"):
        weights(tmp_path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.95, 0.98, 0.99])
def test_a_truncated_file_is_named(tmp_path, zipped, share):
    path = tmp_path / PICKLED_SINGLE
    torch.save(TENSORS, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(PoolError, match=r"pytorch_model\.bin"):
        read_pickled(path)


@pytest.mark.parametrize("content", [b"garbage", b"PK\x03\x04" + b"\0" * 99, b"\x80\x02."])
def test_a_file_of_something_else_is_named(tmp_path, content):
    (tmp_path / PICKLED_SINGLE).write_bytes(content)
    with pytest.raises(PoolError, match=r"pytorch_model\.bin"):
        weights(tmp_path)


def test_other_pickles_are_not_read_even_by_wish(tmp_path):
    torch.save(TENSORS, tmp_path / "model.pt")
    with pytest.raises(PoolError, match=r"pickled weights in model\.pt, only pytorch_model\.bin"):
        weights(tmp_path)


def test_an_adapter_s_matrices_may_be_pickled_by_wish(tmp_path, bare):
    from evoforge.models.adapter import Adapter

    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    torch.save(TENSORS, tmp_path / "adapter_model.bin")
    with pytest.raises(PoolError, match=r"only pickled .*models\.sources\.a\.pickled=true"):
        Adapter(tmp_path, "a")
    assert set(Adapter(tmp_path, "a", pickled=True).tensors) == {"a", "b"}
