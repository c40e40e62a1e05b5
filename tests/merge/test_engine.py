"""Compiled code gives the bits that the operations one by one give."""

import logging
import shutil
from dataclasses import replace

import pytest
import torch

from evoforge.errors import ConfigError, MergeError
from evoforge.merge import _engine
from evoforge.merge._engine import Engine
from evoforge.merge.base import Whole, merger_class

needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="there is no C++ compiler"
)
SHAPE = (96, 1100)
# One method of each kind of arithmetic; compiling takes seconds each.
METHODS = {
    "linear": {"weight": {"low": 0, "high": 1}},
    "ties": {"density": {"low": 0.1, "high": 0.9}, "normalize": True, "elect": "raw"},
    "dare_ties": {"density": {"low": 0.1, "high": 0.9}},
    "della": {"density": {"low": 0.2, "high": 0.8}},
    "sce": {"density": {"low": 0.1, "high": 0.9}},
}


def wholes(merger, dtype):
    """Yield the same tensors with the numbers of several genomes."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(SHAPE, generator=generator)
    deltas = [0.1 * torch.randn(SHAPE, generator=generator) for _ in range(3)]
    name = merger.pool.names[0]
    for gene in (0.3, 0.6, 0.9):
        whole = merger.whole(merger.recipe(merger.space.init * 0 + gene), name)
        yield replace(
            whole,
            base=base.to(dtype) if merger.needs_base else None,
            tensors=[(base + delta).to(dtype) for delta in deltas],
        )


@needs_compiler
@pytest.mark.parametrize("method", METHODS)
def test_compiled_code_gives_the_same_bits(method, pool):
    merger = merger_class(method)(pool, **METHODS[method])
    for dtype in (torch.float32, torch.bfloat16):
        for whole in wholes(merger, dtype):
            found = []
            for compiles in (False, True):
                merger._engine.compiles = compiles
                found.append(torch.empty(SHAPE, dtype=dtype))
                merger.write(whole, found[-1])
            assert merger._engine.compiles
            assert torch.equal(*found)


def test_small_models_are_not_compiled(pool):
    assert not merger_class("ties")(pool)._engine.compiles


@pytest.mark.parametrize(("mode", "compiles"), [("0", False), ("1", True)])
def test_the_environment_decides_if_it_says_so(mode, compiles, monkeypatch):
    monkeypatch.setenv("EVOFORGE_COMPILE", mode)
    assert Engine(lambda part: part.tensors[0], 10**9, "key").compiles is compiles


def test_an_unknown_mode_answers_with_the_choices(monkeypatch):
    monkeypatch.setenv("EVOFORGE_COMPILE", "yes")
    with pytest.raises(ConfigError, match="EVOFORGE_COMPILE must be one of auto, 0, 1, got yes"):
        Engine(lambda part: part.tensors[0], 1, "key")


def test_what_cannot_be_compiled_is_merged_without(monkeypatch, caplog):
    monkeypatch.setenv("EVOFORGE_COMPILE", "1")
    monkeypatch.setattr(_engine, "_compiled", broken)
    engine = Engine(lambda part: part.tensors[0] * part["weight"][0], 1, "compiled by nobody")
    size = 1 << 14  # smaller tensors are not what a method is compiled for
    out = torch.empty(size)
    whole = Whole("w", None, [torch.ones(size)], ["a"], [{}])
    with caplog.at_level(logging.WARNING):
        assert engine.run(whole, {"weight": torch.tensor([0.5])}, out)
    assert "merging without compiled code" in caplog.text
    assert torch.equal(out, torch.full((size,), 0.5))


def broken(function):
    from torch._dynamo.exc import BackendCompilerFailed

    def fails(*given):
        raise BackendCompilerFailed(function, RuntimeError("no compiler"), None)

    return fails


def test_places_that_are_not_contiguous_are_written_too(pool):
    merger = merger_class("linear")(pool, weight=1.0)
    whole = Whole("w", None, [torch.arange(6.0).view(2, 3)], ["a"], [{"weight": 1.0}])
    out = torch.empty(3, 2).T
    merger.write(whole, out)
    assert torch.equal(out, whole.tensors[0])


@pytest.mark.parametrize(("dtype", "advice"), [(torch.float32, ""), (torch.float16, "set models")])
def test_merges_that_are_not_finite_are_refused(pool, dtype, advice):
    merger = merger_class("linear")(pool, normalize=False)
    value = 3e38 if dtype == torch.float32 else 6e4
    whole = Whole("w", None, [torch.full((4,), value)] * 2, ["a", "b"], [{"weight": 1.0}] * 2)
    with pytest.raises(MergeError, match=f"merged w has values that are not finite.*{advice}"):
        merger.write(whole, torch.empty(4, dtype=dtype))


def test_finite_values_with_a_sum_beyond_their_type_are_fine(pool):
    merger = merger_class("linear")(pool, normalize=False)
    whole = Whole("w", None, [torch.full((4,), 3e38)], ["a"], [{"weight": 1.0}])
    out = torch.empty(4)
    merger.write(whole, out)
    assert torch.equal(out, whole.tensors[0])


@needs_compiler
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_compiled_merges_that_are_not_finite_are_refused_too(pool, bad):
    merger = merger_class("linear")(pool)
    merger._engine.compiles = True
    tensors = [torch.ones(100_000), torch.ones(100_000)]
    tensors[1][70_001] = bad
    whole = Whole("w", None, tensors, ["a", "b"], [{"weight": 1.0}] * 2)
    with pytest.raises(MergeError, match="merged w has values that are not finite"):
        merger.write(whole, torch.empty(100_000))
    assert merger._engine.compiles
