import pytest
import torch

from evoforge.errors import ConfigError
from evoforge.merge.passthrough import Passthrough


def test_one_source_times_its_scale(pool):
    merger = Passthrough(pool, source="b", scale={"low": 0, "high": 2})
    candidate = merger.build(merger.recipe(merger.space.encode({"all.*.scale": 0.5})))
    for name in candidate.names:
        assert torch.equal(candidate.tensor(name), pool.tensors("b")[name] * 0.5)


def test_each_layer_comes_from_the_source_that_its_gene_names(pool):
    merger = Passthrough(pool, granularity="layer")
    values = dict.fromkeys(merger.space.names, 0.0) | {"layer2.*.source": 2.0}
    candidate = merger.build(merger.recipe(merger.space.encode(values)))
    for name in candidate.names:
        source = "c" if ".layers.2." in name else "a"
        assert torch.equal(candidate.tensor(name), pool.tensors(source)[name])


def test_an_unknown_source_answers_with_the_choices(pool):
    with pytest.raises(ConfigError, match="source must be one of a, b, c, got x; set merge.source"):
        Passthrough(pool, source="x")


def test_sources_have_no_profile(pool):
    with pytest.raises(ConfigError, match="nothing between one source and the next"):
        Passthrough(pool, granularity="profile", block_size=2)
