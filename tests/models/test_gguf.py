"""GGUF files of a tiny Llama, written here, unpacked and compared with what was written."""

import json
import logging
import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from evoforge.errors import PoolError
from evoforge.models import gguf as module
from evoforge.models.opening import open_source
from evoforge.models.pool import open_pool
from evoforge.models.preflight import preflight
from evoforge.models.spec import SourceSpec

HEADS, HIDDEN, INNER, LAYERS, VOCABULARY = 2, 32, 64, 2, 64
PLACES = {
    "self_attn.q_proj": ("attn_q", (HIDDEN, HIDDEN)),
    "self_attn.k_proj": ("attn_k", (HIDDEN, HIDDEN)),
    "self_attn.v_proj": ("attn_v", (HIDDEN, HIDDEN)),
    "self_attn.o_proj": ("attn_output", (HIDDEN, HIDDEN)),
    "mlp.gate_proj": ("ffn_gate", (INNER, HIDDEN)),
    "mlp.up_proj": ("ffn_up", (INNER, HIDDEN)),
    "mlp.down_proj": ("ffn_down", (HIDDEN, INNER)),
    "input_layernorm": ("attn_norm", (HIDDEN,)),
    "post_attention_layernorm": ("ffn_norm", (HIDDEN,)),
}
TYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "Q8_0": "bfloat16"}


def tensors():
    """Return each tensor's name in transformers: its name in the file, and its shape."""
    found = {
        "model.embed_tokens.weight": ("token_embd.weight", (VOCABULARY, HIDDEN)),
        "model.norm.weight": ("output_norm.weight", (HIDDEN,)),
        "lm_head.weight": ("output.weight", (VOCABULARY, HIDDEN)),
    }
    for layer in range(LAYERS):
        for name, (short, shape) in PLACES.items():
            found[f"model.layers.{layer}.{name}.weight"] = (f"blk.{layer}.{short}.weight", shape)
    return found


def permuted(values):
    """Return the rows of a query or key matrix in the order of llama.cpp."""
    halves = values.reshape(HEADS, 2, HIDDEN // HEADS // 2, HIDDEN)
    return halves.swapaxes(1, 2).reshape(values.shape)


def write(path, kind, seed=0):
    """Write a GGUF file; return the weights that it holds, by their names in transformers."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(VOCABULARY)
    letters = [*(chr(ord("!") + i) for i in range(VOCABULARY - 4)), '!"']
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<s>", "</s>", "<pad>", *letters])
    writer.add_token_types([3, 3, 3, *[1] * len(letters)])
    writer.add_token_merges(['! "'])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(2)
    generator = np.random.default_rng(seed)
    held = {}
    for name, (short, shape) in tensors().items():
        values = generator.standard_normal(shape, dtype=np.float32)
        use = kind if len(shape) > 1 else Kind.F32
        stored = permuted(values) if "q_proj" in name or "k_proj" in name else values
        packed = gguf.quants.quantize(stored, use)
        writer.add_tensor(short, packed, raw_dtype=use)
        quantised = gguf.quants.quantize(values, use)  # rows are quantised apart
        held[name] = torch.from_numpy(gguf.quants.dequantize(quantised, use).copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EVOFORGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def opened(path, **options):
    return open_source(SourceSpec("a", str(path), **options))


@pytest.mark.parametrize("kind", [*TYPES, "Q4_0"])
def test_the_weights_are_those_of_the_file(tmp_path, kind):
    held = write(tmp_path / "tiny.gguf", Kind[kind])
    dtype = getattr(torch, TYPES.get(kind, "bfloat16"))
    source = opened(tmp_path / "tiny.gguf")
    assert set(source.tensors) == set(held)
    for name, tensor in held.items():
        assert torch.equal(source.tensors[name], tensor.to(dtype)), name
    assert source.dtypes == {dtype}


def test_settings_and_tokenizer_come_from_the_file(tmp_path):
    from evoforge.models.tokenizer import tokenizer_of

    write(tmp_path / "tiny.gguf", Kind.Q8_0)
    source = opened(tmp_path / "tiny.gguf")
    assert (source.config["model_type"], source.config["hidden_size"]) == ("llama", HIDDEN)
    assert (source.num_layers, source.config["tie_word_embeddings"]) == (LAYERS, False)
    assert tokenizer_of(source).convert_tokens_to_ids("!") == 3


def test_a_file_is_unpacked_once(tmp_path, monkeypatch, cache):
    write(tmp_path / "tiny.gguf", Kind.Q8_0)
    first = opened(tmp_path / "tiny.gguf")
    monkeypatch.setattr(module, "_unpack", None)
    again = opened(tmp_path / "tiny.gguf")
    assert again.folder == first.folder
    assert again.hash == first.hash
    assert again.folder.parent == cache / "gguf"
    assert [path.name for path in (cache / "gguf").iterdir()] == [first.folder.name]


def test_the_cache_follows_the_content_not_the_name(tmp_path):
    write(tmp_path / "a.gguf", Kind.Q8_0)
    write(tmp_path / "b.gguf", Kind.Q8_0, seed=1)
    shutil.copy(tmp_path / "a.gguf", tmp_path / "c.gguf")
    a, b, c = (opened(tmp_path / f"{name}.gguf").folder for name in "abc")
    assert a == c != b


def test_what_breaks_off_leaves_nothing_half_done(tmp_path, monkeypatch, cache):
    write(tmp_path / "tiny.gguf", Kind.Q8_0)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_convert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path / "tiny.gguf")
    assert not list((cache / "gguf").iterdir())


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"bits": 8', '{"bits": NaN, "file": "x"}'])
def test_a_folder_without_readable_facts_is_unpacked_again(tmp_path, cache, content):
    write(tmp_path / "tiny.gguf", Kind.Q8_0)
    folder = opened(tmp_path / "tiny.gguf").folder
    (folder / module.FACTS).write_text(content)
    assert (module.bits(folder), module.gguf_file(folder)) == (None, None)
    assert opened(shutil.copytree(folder, tmp_path / "plain")).bits is None
    again = opened(tmp_path / "tiny.gguf")
    assert (again.folder, again.bits) == (folder, 8.5)
    assert [path.name for path in (cache / "gguf").iterdir()] == [folder.name]


@pytest.mark.parametrize("broken", ["write_text", "rename"])
def test_a_full_disk_names_the_variable(tmp_path, monkeypatch, cache, broken):
    write(tmp_path / "tiny.gguf", Kind.Q8_0)
    monkeypatch.setattr(module, "_convert", lambda *_: None)

    def full(path, *given):
        if ".aside" in str(given):  # nothing is there yet
            raise FileNotFoundError
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, broken, full)
    with pytest.raises(PoolError, match="cannot write to .*: No space left .*; set EVOFORGE_CACHE"):
        module.unpacked(tmp_path / "tiny.gguf")
    assert not list((cache / "gguf").iterdir())


@pytest.mark.parametrize("before", ["nothing", "damaged"])
@pytest.mark.parametrize("moment", ["_convert", "chmod", "rename"])
def test_a_faster_process_s_folder_is_kept(tmp_path, monkeypatch, cache, moment, before):
    write(tmp_path / "tiny.gguf", Kind.Q8_0)
    folder = cache / "gguf" / module._content_hash(tmp_path / "tiny.gguf")
    if before == "damaged":
        folder.mkdir(parents=True)
        (folder / "theirs").touch()
    owner = module if moment == "_convert" else Path
    real = getattr(owner, moment)

    def faster(*given):
        monkeypatch.setattr(owner, moment, real)
        folder.mkdir(exist_ok=True)
        (folder / "theirs").touch()
        (folder / module.FACTS).write_text(json.dumps({"file": "tiny.gguf", "bits": 8.5}))
        return real(*given)

    monkeypatch.setattr(owner, moment, faster)
    assert module.unpacked(tmp_path / "tiny.gguf") == folder
    assert (folder / "theirs").is_file()
    assert module.bits(folder) == 8.5
    assert list((cache / "gguf").iterdir()) == [folder]


def test_a_folder_with_one_file_is_that_file(tmp_path):
    held = write(tmp_path / "tiny.gguf", Kind.F32)
    assert set(opened(tmp_path).tensors) == set(held)


def test_of_several_files_one_must_be_named(tmp_path):
    write(tmp_path / "a.gguf", Kind.Q8_0)
    write(tmp_path / "b.gguf", Kind.F32)
    with pytest.raises(
        PoolError, match=r"a\.gguf, b\.gguf; choose one with models\.sources\.a\.file"
    ):
        opened(tmp_path)
    assert opened(tmp_path, file="b.gguf").dtypes == {torch.float32}
    with pytest.raises(PoolError, match=r"no GGUF file c\.gguf; it has a\.gguf, b\.gguf; set"):
        opened(tmp_path, file="c.gguf")


def test_few_bits_are_warned_of(tmp_path, caplog):
    write(tmp_path / "q4.gguf", Kind.Q4_0)
    write(tmp_path / "q8.gguf", Kind.Q8_0)
    with caplog.at_level(logging.WARNING):
        opened(tmp_path / "q8.gguf")
        assert not caplog.records
        assert opened(tmp_path / "q4.gguf").bits == 4.5
    assert "a is quantised to 4.5 bits a weight: such models merge poorly" in caplog.text


def test_the_table_before_the_run_names_sources_of_few_bits(tmp_path):
    from rich.console import Console

    from evoforge.report.preflight_table import table

    console = Console(width=100, record=True)
    for kind, warned in (("Q8_0", False), ("Q4_0", True)):
        write(tmp_path / "x.gguf", Kind[kind])
        found = preflight(open_pool(sources={"a": {"path": str(tmp_path / "x.gguf")}}))
        console.print(table(found))
        text = console.export_text()
        assert ("quantised to few bits a weight: a (4.5)" in text) == warned


@pytest.mark.parametrize("content", [b"", b"GGUF", b"garbage" * 99])
def test_a_damaged_file_is_named(tmp_path, cache, content):
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(
        PoolError, match=r"x\.gguf is damaged or of a kind that transformers cannot"
    ):
        opened(tmp_path / "x.gguf")
    assert not (cache / "gguf").exists()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_named(tmp_path, share):
    write(tmp_path / "x.gguf", Kind.Q8_0)
    content = (tmp_path / "x.gguf").read_bytes()
    (tmp_path / "x.gguf").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(PoolError, match=r"x\.gguf is damaged"):
        opened(tmp_path / "x.gguf")


def test_an_unknown_architecture_is_named(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "nonsense")
    writer.add_tensor("a.weight", np.ones((4, 4), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(PoolError, match=r"x\.gguf is damaged or of a kind .*nonsense"):
        opened(tmp_path / "x.gguf")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    import sys

    write(tmp_path / "x.gguf", Kind.F32)
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(PoolError, match=r"pip install evoforge\[gguf\]"):
        opened(tmp_path / "x.gguf")


def test_a_cache_that_cannot_be_written_names_the_variable(tmp_path, monkeypatch):
    write(tmp_path / "x.gguf", Kind.F32)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVOFORGE_CACHE", str(tmp_path / "file"))
    with pytest.raises(PoolError, match="cannot write to .*; set EVOFORGE_CACHE"):
        opened(tmp_path / "x.gguf")


def test_an_adapter_of_a_gguf_file_expands(tmp_path):
    from safetensors.torch import save_file

    held = write(tmp_path / "x.gguf", Kind.Q8_0)
    down, up = torch.randn(2, HIDDEN), torch.randn(HIDDEN, 2)
    folder = tmp_path / "tuned"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 2}')
    name = "model.layers.1.self_attn.q_proj"
    matrices = {"lora_A": down, "lora_B": up}
    save_file(
        {f"base_model.model.{name}.{key}.weight": value for key, value in matrices.items()},
        folder / "adapter_model.safetensors",
    )
    pool = open_pool(
        sources={
            "base": {"path": str(tmp_path / "x.gguf")},
            "a": {"path": str(folder), "adapter_of": "base"},
        }
    )
    wanted = held[f"{name}.weight"].bfloat16().float() + up @ down
    assert torch.equal(pool.tensors("a")[f"{name}.weight"], wanted)
    pool.check()


def test_a_file_that_lacks_a_tensor_is_refused_not_filled_at_random(tmp_path, monkeypatch):
    lost = "model.layers.1.mlp.up_proj.weight"
    kept = {name: place for name, place in tensors().items() if name != lost}
    monkeypatch.setitem(globals(), "tensors", lambda: kept)
    write(tmp_path / "x.gguf", Kind.F32)
    with pytest.raises(PoolError, match=rf"x\.gguf is damaged .*missing keys: {lost}"):
        opened(tmp_path / "x.gguf")


def test_one_part_of_several_is_refused(tmp_path):
    write(tmp_path / "x-00001-of-00002.gguf", Kind.F32)
    with pytest.raises(PoolError, match="is one part of a model; join the parts"):
        opened(tmp_path / "x-00001-of-00002.gguf")


def test_a_file_of_the_hub_is_named_by_its_option(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit = "0123456789" * 4
    repository = tmp_path / "hub" / "models--owner--model"
    for folder in (repository / "snapshots" / commit, repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    write(repository / "snapshots" / commit / "q8.gguf", Kind.Q8_0)
    source = open_source(SourceSpec("a", "owner/model", file="q8.gguf"))
    assert (source.revision, source.bits) == (commit, 8.5)
    assert source.facts["bits"] == 8.5


@pytest.mark.parametrize(
    ("merge", "said"),
    [("! zz", "'zz' is no token"), ("! #", "'!#' is no token"), ("!!", "'!!' is no token")],
)
def test_a_vocabulary_whose_merges_are_no_tokens_is_one_sentence(
    tmp_path, monkeypatch, merge, said
):
    add = gguf.GGUFWriter.add_token_merges
    monkeypatch.setattr(gguf.GGUFWriter, "add_token_merges", lambda self, _: add(self, [merge]))
    write(tmp_path / "tiny.gguf", Kind.F32)
    with pytest.raises(PoolError, match=f"is damaged .* merges '{merge}', and {said}"):
        opened(tmp_path / "tiny.gguf")
