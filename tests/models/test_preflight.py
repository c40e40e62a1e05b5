import math

import psutil
import pytest
import torch

from evoforge.models.preflight import WORKING, needed, preflight
from tests.conftest import open_pico

NORM = "model.norm.weight"
OTHERS = ("model.embed_tokens.weight", "lm_head.weight")


@pytest.fixture
def norms(remake):
    """Return what opens a pool whose models hold one tensor of the given numbers."""

    def make(**values):
        folders = {
            name: remake(name, tensors={NORM: torch.tensor(numbers)}, drop=OTHERS)
            for name, numbers in values.items()
        }
        return open_pico(folders)

    return make


@pytest.fixture
def by_hand(norms):
    # Task vectors: a = (3, 4, 0), b = (0, 4, -3), c = (0, -10, 0).
    return norms(base=[0.0, 6, 8], a=[3.0, 10, 8], b=[0.0, 10, 5], c=[0.0, -4, 8])


def rows(pool):
    return {row.name: row for row in preflight(pool).rows}


def test_rows_are_the_base_and_the_sources_in_order(by_hand):
    assert [(row.name, row.role) for row in preflight(by_hand).rows] == [
        ("base", "base"),
        ("a", "source"),
        ("b", "source"),
        ("c", "source"),
    ]


def test_norms_by_hand(by_hand):
    # |(3, 4, 0)| = |(0, 4, -3)| = 5, |(0, -10, 0)| = 10; the base's is |(0, 6, 8)| = 10.
    found = rows(by_hand)
    assert [found[name].norm for name in "abc"] == pytest.approx([5, 5, 10])
    assert [found[name].relative for name in "abc"] == pytest.approx([0.5, 0.5, 1])


def test_cosines_by_hand(by_hand):
    # a b = 16 / 25; a c = b c = -40 / 50.
    found = rows(by_hand)
    assert found["a"].cosines == pytest.approx({"b": 0.64, "c": -0.8})
    assert found["c"].cosines == pytest.approx({"a": -0.8, "b": -0.8})


def test_sign_conflicts_by_hand(by_hand):
    # The sum is (3, -2, -3): one of a's two changes goes the other way, one of b's two, none of c.
    found = rows(by_hand)
    assert [found[name].conflicts for name in "abc"] == pytest.approx([0.5, 0.5, 0])


def test_the_base_s_row_has_no_task_vector(by_hand):
    row = rows(by_hand)["base"]
    assert (row.norm, row.relative, row.cosines, row.conflicts) == (0, 0, {}, 0)


def test_a_copy_of_the_base_has_no_task_vector(norms):
    found = rows(norms(base=[1.0, 2, 3], a=[1.0, 2, 3], b=[1.0, 2, 4]))
    assert (found["a"].norm, found["a"].cosines, found["a"].conflicts) == (0, {"b": 0}, 0)


def test_equal_sources_have_cosine_one(norms):
    found = rows(norms(base=[1.0, 2, 3], a=[1.5, 2, 3], b=[1.5, 2, 3]))
    assert found["a"].cosines["b"] == pytest.approx(1)


def test_a_base_of_zeros_divides_nothing(norms):
    found = rows(norms(base=[0.0, 0, 0], a=[3.0, 4, 0]))
    assert math.isfinite(found["a"].relative)


def test_task_vectors_are_taken_from_the_mean_without_a_base(norms):
    # The mean is (1, 2, 2) of norm 3; a - mean = (0, -1, 0) = -(b - mean).
    found = rows(norms(a=[1.0, 1, 2], b=[1.0, 3, 2]))
    assert [found[name].norm for name in "ab"] == pytest.approx([1, 1])
    assert found["a"].relative == pytest.approx(1 / 3)
    assert found["a"].cosines == pytest.approx({"b": -1})


def test_a_single_source_without_a_base_can_be_measured(norms):
    found = rows(norms(a=[1.0, 2, 3]))
    assert (found["a"].norm, found["a"].cosines) == (0, {})


def test_whole_models_are_measured_as_one_long_vector(pool):
    flat = {
        source.name: torch.cat([source.tensors[name].flatten().double() for name in pool.names])
        for source in pool.members
    }
    deltas = {name: flat[name] - flat["base"] for name in "abc"}
    total = torch.stack(list(deltas.values())).sum(0)
    for name, row in rows(pool).items():
        if name == "base":
            continue
        delta = deltas[name]
        changed = delta != 0
        against = (delta * total < 0).sum() / changed.sum()
        assert row.norm == pytest.approx(float(delta.norm()), rel=1e-5)
        assert row.relative == pytest.approx(float(delta.norm() / flat["base"].norm()), rel=1e-5)
        assert row.conflicts == pytest.approx(float(against), abs=1e-3)
        for other, cosine in row.cosines.items():
            wanted = torch.cosine_similarity(delta, deltas[other], dim=0)
            assert cosine == pytest.approx(float(wanted), abs=1e-5)


def test_tensors_longer_than_a_block_are_measured_whole(by_hand, monkeypatch):
    before = preflight(by_hand).rows
    monkeypatch.setattr("evoforge.models.preflight.BLOCK", 2)
    assert [row.norm for row in preflight(by_hand).rows] == [row.norm for row in before]
    assert [row.conflicts for row in preflight(by_hand).rows] == [row.conflicts for row in before]


def test_narrow_types_are_measured_in_full_precision(remake):
    # In bfloat16 itself 256 + 1 is 256; the difference of the two must still be found.
    folders = {
        name: remake(
            name, tensors={NORM: torch.tensor([256.0, value]).to(torch.bfloat16)}, drop=OTHERS
        )
        for name, value in {"base": 1.0, "a": 2.0}.items()
    }
    row = rows(open_pico(folders))["a"]
    assert (row.norm, row.dtypes) == (1, ("bfloat16",))


def test_rows_say_types_weights_and_licence(norms):
    row = rows(norms(base=[1.0, 2, 3], a=[1.0, 2, 3]))["a"]
    assert (row.dtypes, row.parameters, row.license) == (("float32",), 3, None)


def test_memory_is_for_every_source_one_model_and_work(remake):
    tensors = {NORM: torch.ones(3)}
    half = {NORM: torch.ones(3, dtype=torch.bfloat16)}
    pool = open_pico(
        {
            "base": remake("base", tensors=tensors, drop=OTHERS),
            "a": remake("a", tensors=half, drop=OTHERS),
        }
    )
    # 3 x 4 bytes, 3 x 2 bytes, and a merged model of 3 x 4.
    assert needed(pool) == 12 + 6 + 12 + WORKING


def test_free_memory_is_what_the_system_says(by_hand, monkeypatch):
    class Memory:
        available = 123

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    found = preflight(by_hand)
    assert (found.available, found.needed) == (123, needed(by_hand))


def test_every_model_that_answers_needs_memory(by_hand):
    size = sum(tensor.nbytes for tensor in by_hand.reference.tensors.values())
    assert needed(by_hand, 3) == needed(by_hand) + 2 * size


def test_sources_of_other_sizes_are_compared_where_they_can_be(save_pico):
    base = save_pico("base", seed=0)
    folders = {"base": base, "b": save_pico("b", seed=1, near=base, num_hidden_layers=4)}
    deep = {**folders, "c": save_pico("c", seed=2, num_hidden_layers=6, vocab_size=90)}
    whole, part = (rows(open_pico(f))["b"] for f in (folders, deep))
    assert whole.norm > part.norm > 0
    assert rows(open_pico(deep))["c"].parameters > part.parameters
