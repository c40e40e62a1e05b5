"""Damaged files of sources: told in a sentence before any search begins, or found by their hash."""

import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from evoforge.errors import PoolError
from evoforge.models.adapter import STORED
from evoforge.models.opening import open_source
from evoforge.models.pool import open_pool
from evoforge.models.preflight import preflight
from evoforge.models.spec import SourceSpec
from evoforge.models.weights import SINGLE, Weights, differing

NORM = "model.norm.weight"
MATRIX = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"


def flip(path, position, bit):
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


def test_no_flipped_bit_of_a_header_goes_unseen(bare, remake):
    folder = remake("a")
    path = folder / SINGLE
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    base = {"path": str(bare), "role": "base"}
    hashes = Weights(bare).hashes()
    unseen, told = 0, []
    for position in range(0, 8 + length, 3):
        flip(path, position, position % 8)
        try:
            pool = open_pool(
                sources={"base": base, "a": {"path": str(folder)}}, ignore=["tokenizer"]
            )
            pool.check()
        except PoolError as error:
            told.append(str(error))
        else:
            # Only what is no tensor's may change: the file's notes.
            assert pool.member("a").hashes == hashes
            unseen += 1
        path.write_bytes(whole)
    assert unseen < 20
    assert not [sentence for sentence in told if "\n" in sentence]


def test_a_flipped_bit_of_a_weight_is_found_by_recorded_hashes(remake):
    folder = remake("a")
    recorded = open_source(SourceSpec("a", str(folder))).hashes
    assert differing(open_source(SourceSpec("a", str(folder))).hashes, recorded) == []
    flip(folder / SINGLE, -1, 0)
    found = differing(open_source(SourceSpec("a", str(folder))).hashes, recorded)
    assert len(found) == 1
    assert found[0] in recorded


def test_tensors_that_only_one_side_has_differ():
    assert differing({"a": "1", "b": "2"}, {"b": "2", "c": "3"}) == ["a", "c"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("broken", ["base", "a"])
def test_weights_that_are_not_finite_are_refused(remake, broken, value):
    tensors = {NORM: torch.tensor([1.0, value, 1.0])}
    sources = {
        name: {
            "path": str(remake(name, tensors=tensors if name == broken else None)),
            "role": "base" if name == "base" else "source",
        }
        for name in ("base", "a")
    }
    with pytest.raises(
        PoolError, match=rf"^{broken} has values in model\.norm\.weight that are not"
    ):
        preflight(open_pool(sources=sources))


@pytest.fixture
def tuned(pico, tmp_path):
    """Return the options of a base and an adapter of it, and the adapter's folder."""
    folder = tmp_path / "tuned"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 2}')
    matrices = {MATRIX.format("A"): torch.ones(2, 16), MATRIX.format("B"): torch.ones(16, 2)}
    save_file(matrices, folder / STORED)
    base = {"path": str(pico["base"]), "role": "base"}
    return {"base": base, "a": {"path": str(folder), "adapter_of": "base"}}, folder


def test_matrices_that_are_not_finite_are_refused(tuned):
    sources, folder = tuned
    preflight(open_pool(sources=sources))
    stored = load_file(folder / STORED)
    stored[MATRIX.format("A")][0, 0] = float("nan")
    save_file(stored, folder / STORED)
    with pytest.raises(PoolError, match=r"^a has values in .*lora_A\.weight that are not finite"):
        preflight(open_pool(sources=sources))


def test_an_adapter_takes_the_memory_of_its_matrices_alone(tuned):
    sources, _ = tuned
    pool = open_pool(sources=sources)
    with_it = preflight(pool).needed
    twice = {**sources, "b": sources["a"]}
    assert preflight(open_pool(sources=twice)).needed - with_it == (2 * 16 + 16 * 2) * 4


def test_the_table_measures_an_adapter_s_change_by_hand(tuned):
    # Every weight of a 16 x 16 matrix is changed by 1 * 1 + 1 * 1 = 2: norm 2 * 16.
    sources, _ = tuned
    (row,) = (row for row in preflight(open_pool(sources=sources)).rows if row.name == "a")
    assert row.norm == pytest.approx(32, rel=1e-5)
    assert (row.dtypes, row.bits) == (("float32",), None)
