"""Model folders end in a pool or in one sentence, and nothing in them is run."""

import json
import os
import pickle
import random
import shutil
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from evoforge.models.adapter import SETTINGS, STORED
from evoforge.models.opening import open_source
from evoforge.models.pool import open_pool
from evoforge.models.spec import SourceSpec
from evoforge.models.weights import INDEX, SINGLE
from tests.hostile.spoil import sentence, spoiled, text_of, torn


@pytest.fixture
def folder(pico, tmp_path):
    """A copy of a model's folder."""
    return shutil.copytree(pico["a"], tmp_path / "model")


def opened(folder, **options):
    """Do what a run does with a source before it begins."""
    source = open_source(SourceSpec("x", str(folder), **options))
    pool = open_pool(sources={"x": {"path": str(folder), **options}})
    pool.check()
    _ = pool.tokenizer
    return source.hash


def header(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def test_headers_of_weights_of_any_kind_end_in_one_sentence(folder):
    path = folder / SINGLE
    settings, data = header(path)
    for number in range(120):
        draw = random.Random(f"header-{number}")
        text = text_of(spoiled(settings, draw)).encode()
        length = draw.choice((len(text), len(text), len(text), 0, len(text) - 1, 2**62, 2**64 - 1))
        path.write_bytes(struct.pack("<Q", length) + text + data)
        sentence(lambda: opened(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_offsets": [0, 8]}, "not a readable safetensors file"),
        ({"shape": [2**40, 2**20]}, "not a readable safetensors file"),
        ({"dtype": "I64"}, "not a readable safetensors file"),
        ({"dtype": "PICKLE"}, "not a readable safetensors file"),
    ],
)
def test_a_header_that_lies_is_named(folder, change, message):
    path = folder / SINGLE
    settings, data = header(path)
    name = sorted(settings)[-1]
    settings[name] = {**settings[name], **change}
    text = json.dumps(settings).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    assert message in sentence(lambda: opened(folder))


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_settings_of_any_kind_end_in_one_sentence(folder, file):
    whole = (folder / file).read_text()
    told = 0
    for number in range(40):
        draw = random.Random(f"{file}-{number}")
        text = text_of(spoiled(json.loads(whole), draw))
        content = torn(text, draw) if draw.random() < 0.2 else text.encode()
        (folder / file).write_bytes(content)
        told += sentence(lambda: opened(folder)) is not None
    assert told > 5


@pytest.mark.parametrize(
    "shard",
    ["../outside.safetensors", "/etc/passwd", "..", ".", "", "a/b.safetensors", "a\0b", "x" * 300],
)
def test_a_shard_outside_the_folder_is_refused(folder, shard):
    shutil.copy(folder / SINGLE, folder.parent / "outside.safetensors")
    names = list(load_file(folder / SINGLE))
    (folder / SINGLE).unlink()
    (folder / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(names, shard)}))
    assert INDEX in sentence(lambda: opened(folder))


class Opener:
    """What a pickle calls when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickled_checkpoint_is_refused_and_never_run(folder):
    (folder / SINGLE).unlink()
    sprung = folder.parent / "sprung"
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Opener(str(sprung))))
    said = sentence(lambda: opened(folder))
    assert "only pickled weights (pytorch_model.bin), which can run code when opened" in said
    assert "models.sources.x.pickled=true" in said
    assert "could run code" in sentence(lambda: opened(folder, pickled=True))
    torch.save({"a": Opener(str(sprung))}, folder / "pytorch_model.bin")
    assert "could run code" in sentence(lambda: opened(folder, pickled=True))
    assert not sprung.exists()


def test_a_models_own_code_is_not_run_unless_the_user_says_so(folder):
    sprung = folder.parent / "sprung"
    code = f"import os\nos.mkdir({str(sprung)!r})\n"
    (folder / "modeling_own.py").write_text(code)
    (folder / "configuration_own.py").write_text(code)
    settings = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "configuration_own.Own", "AutoModelForCausalLM": "modeling_own.Own"}
    settings |= {"model_type": "own", "architectures": ["Own"], "auto_map": own}
    (folder / "config.json").write_text(json.dumps(settings))
    assert "config.json cannot be used" in sentence(lambda: opened(folder))
    assert not sprung.exists()


def test_a_tokenizers_own_code_is_not_run(folder):
    sprung = folder.parent / "sprung"
    (folder / "tokenization_own.py").write_text(f"import os\nos.mkdir({str(sprung)!r})\n")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {
        "tokenizer_class": "Own",
        "auto_map": {"AutoTokenizer": [None, "tokenization_own.Own"]},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    sentence(lambda: opened(folder))
    assert not sprung.exists()


@pytest.fixture
def adapter(folder):
    """The folder of a small adapter of the model."""
    made = folder.parent / "adapter"
    made.mkdir()
    settings = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["q_proj"],
        "rank_pattern": {},
        "alpha_pattern": {"q_proj": 3},
        "use_rslora": False,
        "base_model_name_or_path": "a",
        "bias": "none",
    }
    (made / SETTINGS).write_text(json.dumps(settings))
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    tensors = {name.format("A"): torch.ones(2, 16), name.format("B"): torch.ones(16, 2)}
    save_file(tensors, made / STORED)
    return made


def put_on(folder, adapter):
    sources = {
        "x": {"path": str(folder)},
        "y": {"path": str(adapter), "adapter_of": "x"},
    }
    pool = open_pool(sources=sources)
    pool.check()
    for name in pool.tensors("y"):
        _ = pool.tensors("y")[name]


def test_settings_of_adapters_of_any_kind_end_in_one_sentence(folder, adapter):
    put_on(folder, adapter)
    settings, told = json.loads((adapter / SETTINGS).read_text()), 0
    for number in range(80):
        draw = random.Random(f"adapter-{number}")
        text = text_of(spoiled(settings, draw))
        content = torn(text, draw) if draw.random() < 0.2 else text.encode()
        (adapter / SETTINGS).write_bytes(content)
        told += sentence(lambda: put_on(folder, adapter)) is not None
    assert told > 20


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"A": (2, 16)},
        {"B": (16, 2)},
        {"A": (3, 16), "B": (16, 3)},
        {"A": (2, 16), "B": (17, 2)},
        {"A": (2, 0), "B": (16, 2)},
        {"A": (2, 16, 1), "B": (16, 2)},
        {"A": (2,), "B": (16, 2)},
    ],
)
def test_matrices_of_other_shapes_end_in_one_sentence(folder, adapter, tensors):
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    save_file({name.format(k): torch.ones(shape) for k, shape in tensors.items()}, adapter / STORED)
    assert sentence(lambda: put_on(folder, adapter))


def test_gguf_files_of_any_kind_end_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("EVOFORGE_CACHE", str(tmp_path / "cache"))
    key = b"general.architecture"
    told = 0
    for number in range(60):
        draw = random.Random(f"gguf-{number}")
        counts = [draw.choice((0, 1, 2, 2**40, 2**63, 2**64 - 1)) for _ in range(2)]
        version = draw.choice((0, 2, 3, 3, 3, 2**31))
        length = draw.choice((len(key), len(key), 2**40, 0))
        kind = draw.choice((8, 8, 9, 12, 2**31))
        content = b"GGUF" + struct.pack("<IQQQ", version, *counts, length) + key
        content += struct.pack("<IQ", kind, draw.choice((5, 2**50))) + b"llama" + bytes(64)
        file = tmp_path / "x.gguf"
        file.write_bytes(content[: draw.choice((len(content), 10, 40))])
        told += sentence(lambda file=file: open_source(SourceSpec("x", str(file)))) is not None
    assert told == 60
