import json
import socket
import threading

import pytest
import torch

from evoforge.errors import ConfigError, PoolError
from evoforge.models import tokenizer as tokenizer_module
from evoforge.models.opening import open_source
from evoforge.models.pool import Pool, open_pool
from evoforge.models.preflight import preflight
from evoforge.models.spec import SourceSpec
from evoforge.models.tokenizer import load_tokenizer
from evoforge.models.weights import INDEX, Weights
from tests.conftest import open_pico

NORM = "model.norm.weight"


@pytest.mark.parametrize(
    "text", ["[]", "3", "null", '{"weight_map": {"a": 3}}', '{"weight_map": {"a": ["x"]}}']
)
def test_an_index_of_another_shape_is_named(tmp_path, text):
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(PoolError, match="index"):
        Weights(tmp_path)


def test_a_tensor_that_the_index_promises_and_no_shard_has_is_named(bare, remake):
    folder = remake("a")
    (folder / "model.safetensors").rename(folder / "one.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": {"gone": "one.safetensors"}}))
    with pytest.raises(PoolError, match="gone"):
        Weights(folder)


@pytest.mark.parametrize("change", [{"hidden_size": "abc"}, {"rope_parameters": 3}])
def test_settings_of_a_wrong_type_name_the_file(remake, change):
    found = open_source(SourceSpec("a", str(remake("a", config=change))))
    with pytest.raises(PoolError, match=r"config\.json cannot be used"):
        _ = found.config


@pytest.mark.parametrize("text", ["3", "null"])
def test_settings_that_are_no_mapping_name_the_file(remake, text):
    found = open_source(SourceSpec("a", str(remake("a"))))
    (found.folder / "config.json").write_text(text)
    with pytest.raises(PoolError, match=r"config\.json cannot be used"):
        _ = found.config


@pytest.fixture
def hanging_up(tmp_path, monkeypatch):
    from huggingface_hub import constants

    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            client.close()

    threading.Thread(target=serve, daemon=True).start()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
    yield
    server.close()


def test_a_hub_that_hangs_up_is_a_clear_sentence(hanging_up):
    with pytest.raises(PoolError, match="cannot get owner/model from the hub"):
        open_source(SourceSpec("a", "owner/model"))


def test_a_source_that_may_run_its_code_may_run_its_tokenizer_s(bare, monkeypatch):
    asked = []

    def load(folder, *, trust_remote_code=False):
        asked.append(trust_remote_code)
        return load_tokenizer(folder)

    monkeypatch.setattr(tokenizer_module, "load_tokenizer", load)
    specs = [
        SourceSpec("base", str(bare), role="base", trust_remote_code=True),
        SourceSpec("a", str(bare)),
    ]
    members = [open_source(spec) for spec in specs]
    for member in members:
        member.__dict__["config"] = {}
    Pool(members).check()
    assert any(asked)


#    the sign of rounding errors (25 % for two sources, 37 % for three, 40 % for four)
def test_without_a_base_no_change_goes_against_a_sum_that_is_zero(remake):
    generator = torch.Generator().manual_seed(0)
    folders = {
        name: remake(name, tensors={NORM: torch.randn(3000, generator=generator)}) for name in "abc"
    }
    assert [row.conflicts for row in preflight(open_pico(folders)).rows] == [0, 0, 0]


@pytest.mark.parametrize("path", [None, 3])
def test_a_path_that_is_no_text_names_the_option(path):
    with pytest.raises(ConfigError, match=r"models\.sources\.a\.path"):
        open_pool(sources={"a": {"path": path}})


def test_a_number_as_name_is_read_as_text(bare):
    assert open_pool(sources={1: {"path": str(bare)}}).sources[0].name == "1"


def test_a_path_alone_instead_of_options_says_so(bare):
    with pytest.raises(ConfigError, match=r"models\.sources\.a.*path"):
        open_pool(sources={"a": str(bare)})


@pytest.mark.parametrize(
    ("file", "text"), [("tokenizer.json", "[]"), ("tokenizer_config.json", "[]")]
)
def test_a_broken_tokenizer_file_is_named(remake, file, text):
    folder = remake("a")
    (folder / file).write_text(text)
    with pytest.raises(PoolError, match="has no usable tokenizer"):
        load_tokenizer(folder)
