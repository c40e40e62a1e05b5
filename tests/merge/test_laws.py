"""What every merge method must keep, for every option in conf/merge.

Methods that make each tensor from the same tensor of each source keep some laws more.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evoforge.config import build
from evoforge.merge.base import Mergers, TensorMerger, merger_class
from tests.conftest import open_pico, options, pico_config

TENSOR = [name for name in options("merge") if issubclass(merger_class(name), TensorMerger)]
of_tensors = pytest.mark.parametrize("option", TENSOR)


@pytest.fixture
def merger(merge_option, compose, pool, mergekit_file):
    node = compose(f"merge={merge_option}")["merge"]
    # An option that starts from a file has none until the user names it.
    node |= {"file": str(mergekit_file)} if node.get("file", "") is None else {}
    return build(node, "merge", pool=pool)


@pytest.fixture
def make(compose, pool):
    return lambda option, *more: build(
        compose(f"merge={option}", *more)["merge"], "merge", pool=pool
    )


def tensors(candidate):
    return {name: candidate.tensor(name) for name in candidate.names}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@of_tensors
def test_identical_sources_give_that_source(option, compose, pico):
    # Weights that sum to 1, everything kept: whatever the method, nothing changes.
    pool = open_pico({"base": pico["base"], "a": pico["a"], "b": pico["a"]})
    node = compose(f"merge={option}", "merge.granularity=whole")["merge"]
    fixed = {"weight": 0.5, "density": 1.0, "t": 0.5, "gamma": 0.0, "reach": -100.0}
    node.update({key: value for key, value in fixed.items() if key in node})
    merger = build(node, "merge", pool=pool)
    values = {key: given.init for key, given in merger.ranges.items()}
    recipe = merger.recipe_of({"all": dict.fromkeys(merger.searched, values)})
    for name, tensor in tensors(merger.build(recipe)).items():
        torch.testing.assert_close(tensor, pool.tensors("a")[name], rtol=1e-5, atol=1e-6)


def test_same_recipe_gives_the_same_bytes_in_any_order(merger):
    recipe = merger.recipe(merger.space.init)
    first = tensors(merger.build(recipe))
    again = merger.build(recipe)
    second = {name: again.tensor(name) for name in reversed(again.names)}
    assert same(first, second)


def test_same_recipe_gives_the_same_bytes_on_any_number_of_threads(merger, pico, pool):
    recipe = merger.recipe(merger.space.init)
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(tensors(merger.build(recipe)))
    finally:
        torch.set_num_threads(threads)
    assert same(*found)


@of_tensors
def test_large_tensors_do_not_depend_on_threads(option, make):
    merger = make(option)
    # Beyond the size from which torch splits an operation among threads.
    big = large(merger)
    threads = torch.get_num_threads()
    found = [torch.empty(300, 1000) for _ in range(2)]
    try:
        for count, out in enumerate(found, start=1):
            torch.set_num_threads(count)
            merger.write(big, out)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


def large(merger, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    recipe = merger.recipe(merger.space.init)
    whole = merger.whole(recipe, merger.build(recipe).names[0])
    base = torch.randn(300, 1000, generator=generator)
    tensors = [base + torch.randn(300, 1000, generator=generator) for _ in whole.tensors]
    return replace(
        whole,
        base=None if whole.base is None else base.to(dtype),
        tensors=[tensor.to(dtype) for tensor in tensors],
    )


@of_tensors
def test_merging_into_a_type_rounds_what_merging_into_float32_gives(option, make):
    merger = make(option)
    big = large(merger, torch.bfloat16)
    whole, rounded = torch.empty(300, 1000), torch.empty(300, 1000, dtype=torch.bfloat16)
    merger.write(big, whole)
    merger.write(big, rounded)
    assert torch.equal(whole.bfloat16(), rounded)


@of_tensors
def test_merging_leaves_the_sources_as_they_are(option, make):
    merger = make(option)
    big = large(merger)
    before = [tensor.clone() for tensor in big.tensors]
    merger.write(big, torch.empty(300, 1000))
    assert all(torch.equal(*pair) for pair in zip(before, big.tensors, strict=True))


def test_corners_of_the_cube_give_finite_numbers(merger):
    draw = np.random.default_rng(0)
    dim = merger.space.dim
    corners = [np.zeros(dim), np.ones(dim), *draw.integers(0, 2, (30, dim)).astype(float)]
    for corner in corners:
        for tensor in tensors(merger.build(merger.recipe(corner))).values():
            assert torch.isfinite(tensor).all()


def test_any_candidate_is_a_plain_checkpoint_of_the_architecture(merger):
    from transformers import MistralForCausalLM

    draw = np.random.default_rng(1)
    for genome in [merger.space.init, *draw.random((5, merger.space.dim))]:
        candidate = merger.build(merger.recipe(genome))
        model = MistralForCausalLM(pico_config(**candidate.settings))
        found = {name: tuple(tensor.shape) for name, tensor in tensors(candidate).items()}
        wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        assert found == wanted


def test_equal_keys_are_equal_tensors(merger):
    draw = np.random.default_rng(2)
    seen = {}
    for genome in draw.random((6, merger.space.dim)):
        candidate = merger.build(merger.recipe(genome))
        for name in candidate.names:
            tensor = candidate.tensor(name)
            assert torch.equal(seen.setdefault((candidate.key(name), name), tensor), tensor)


def test_sources_are_never_written_to(merger, pool):
    before = {source.name: source.tensors.hashes() for source in pool.members}
    files = [Path(source.folder) / "model.safetensors" for source in pool.members]
    bytes_before = [file.read_bytes() for file in files]
    ends = [np.zeros(merger.space.dim), merger.space.init, np.ones(merger.space.dim)]
    for genome in ends:
        for tensor in tensors(merger.build(merger.recipe(genome))).values():
            tensor.fill_(7.0)
    after = {source.name: source.tensors.hashes() for source in pool.members}
    assert after == before
    assert [file.read_bytes() for file in files] == bytes_before


def test_a_candidate_can_be_built_from_its_recipe_alone(merger, pool):
    recipe = merger.recipe(merger.space.init)
    first, second = merger.build(recipe), Mergers(pool).build(recipe)
    assert first.identity == second.identity == recipe.hash
    assert same(tensors(first), tensors(second))


@of_tensors
def test_only_tensors_of_a_changed_group_get_another_key(option, make):
    merger = make(option, "merge.granularity=layer")
    genome = merger.space.init
    first = merger.build(merger.recipe(genome))
    place = next(i for i, name in enumerate(merger.space.names) if name.startswith("layer2."))
    changed = genome.copy()
    changed[place] = 0.9
    second = merger.build(merger.recipe(changed))
    others = {name for name in first.names if first.key(name) != second.key(name)}
    assert others == {name for name in first.names if ".layers.2." in name}


@of_tensors
def test_every_granularity_has_groups_of_its_own_outside_the_blocks(option, make):
    for granularity, blocks in (("block", 2), ("layer", 4), ("module", 12)):
        merger = make(option, f"merge.granularity={granularity}", "merge.block_size=2")
        assert next(iter(merger.groups)) == "embedding"
        assert list(merger.groups)[-2:] == ["final_norm", "lm_head"]
        assert len(merger.groups) == blocks + 3


def test_a_recipe_leads_back_to_a_genome_of_it(merger):
    draw = np.random.default_rng(3)
    ends = [np.zeros(merger.space.dim), merger.space.init, np.ones(merger.space.dim)]
    for genome in [*ends, *draw.random((10, merger.space.dim))]:
        recipe = merger.recipe(genome)
        assert merger.reads(recipe)
        assert merger.recipe(merger.encode(recipe)) == recipe
