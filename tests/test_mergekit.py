"""Paths as mergekit configurations; where mergekit is installed, what it makes of them."""

import shutil
import subprocess

import pytest
import torch
import yaml
from safetensors.torch import load_file

from evoforge.merge.dfs import Dfs
from evoforge.merge.linear import Linear
from evoforge.mergekit import passthrough
from evoforge.path import Hop
from tests.conftest import open_pico
from tests.loop import WEIGHT

PATH = [Hop("a", 0, 2.0), Hop("b", 1, 0.5), Hop("b", 2, -2.0), Hop("a", 3)]


@pytest.fixture
def merger(pool):
    return Dfs(pool, sources=["a", "b"])


def text(merger, path):
    return passthrough(merger.build(merger.recipe_of(path)), merger.pool)


def test_a_path_is_a_slice_a_hop_with_factors_on_what_is_added(merger, pico):
    content = yaml.safe_load(text(merger, PATH))
    assert content["merge_method"] == "passthrough"
    assert content["dtype"] == "float32"
    assert content["tokenizer_source"] == str(pico["a"])
    parts = [part["sources"][0] for part in content["slices"]]
    assert [part["model"] for part in parts] == [str(pico[name]) for name in "abba"]
    assert [part["layer_range"] for part in parts] == [[0, 1], [1, 2], [2, 3], [3, 4]]
    filters = [
        {f.get("filter", ""): f["value"] for f in part["parameters"]["scale"]} for part in parts
    ]
    # The embeddings carry the first scale; the products are then 1, 0.5, -1 and -1.
    assert filters[0] == {"model.embed_tokens": 2.0, "": 1.0}
    assert filters[1] == {"self_attn.o_proj": 2.0, "mlp.down_proj": 2.0, "": 1.0}
    norms = {"input_layernorm": -1.0, "post_attention_layernorm": -1.0}
    outputs = {"self_attn.o_proj": -1.0, "mlp.down_proj": -1.0}
    assert filters[2] == {**norms, **outputs, "": 1.0}
    assert filters[3] == {**norms, **outputs, "model.norm": -1.0, "": 1.0}


def test_a_path_without_scales_needs_no_filters(merger):
    content = yaml.safe_load(text(merger, [Hop("a", 0), Hop("b", 1), Hop("a", 3)]))
    assert all("parameters" not in part["sources"][0] for part in content["slices"])


def test_a_merge_is_no_path(pool):
    linear = Linear(pool, weight=WEIGHT)
    assert passthrough(linear.build(linear.recipe(linear.space.init)), pool) is None


def test_a_path_through_a_merge_has_no_configuration(pool):
    linear = Linear(pool, weight=WEIGHT)
    paths = Dfs(pool, merged=True, sources=["b"]).over(linear.recipe(linear.space.init))
    assert text(paths, [Hop("merged", 0), Hop("b", 1)]) is None


def test_an_untied_output_embedding_has_no_configuration(save_pico):
    base = save_pico("base", seed=0, tie_word_embeddings=True)
    folders = {"a": base, "b": save_pico("b", seed=2, near=base)}
    assert text(Dfs(open_pico(folders)), [Hop("a", 0, 2.0), Hop("a", 3)]) is None


@pytest.mark.skipif(
    shutil.which("mergekit-yaml") is None, reason="mergekit is not installed; put it on the PATH"
)
@pytest.mark.parametrize("target", ["stream", "branch"])
def test_mergekit_makes_the_same_tensors(pool, tmp_path, target):
    merger = Dfs(pool, sources=["a", "b"], scale_target=target)
    candidate = merger.build(merger.recipe_of(PATH))
    (tmp_path / "path.yml").write_text(passthrough(candidate, merger.pool) or "")
    subprocess.run(
        ["mergekit-yaml", str(tmp_path / "path.yml"), str(tmp_path / "made")], check=True
    )
    made = load_file(tmp_path / "made" / "model.safetensors")
    assert set(made) == set(candidate.names)
    for name in candidate.names:
        torch.testing.assert_close(made[name], candidate.tensor(name), rtol=1e-6, atol=1e-7)
