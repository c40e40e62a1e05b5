"""Winners as mergekit files: read again they are the same; mergekit makes the same of them."""

import shutil

import numpy as np
import pytest
import torch
import yaml

from evoforge.config import build
from evoforge.errors import ConfigError
from evoforge.merge._mergekit import start
from evoforge.merge._mergekit_path import fixed_path
from evoforge.merge.dfs import Dfs
from evoforge.merge.linear import Linear
from evoforge.merge.multislerp import Multislerp
from evoforge.merge.nuslerp import Nuslerp
from evoforge.merge.task_arithmetic import TaskArithmetic
from evoforge.merge.ties import Ties
from evoforge.mergekit_writer.files import mergekit_config
from evoforge.mergekit_yaml.document import parse
from evoforge.path import Hop
from tests.conftest import open_pico
from tests.loop import WEIGHT
from tests.mergekit_cases import save_wide
from tests.test_mergekit import by_mergekit, by_mergekit_multi, needs_mergekit, weights

PATH = [Hop("a", 0, 2.0), Hop("b", 1, 0.5), Hop("b", 2, -2.0), Hop("a", 3)]
LAYOUTS = [("whole", 4), ("block", 2), ("layer", 4), ("module", 4), ("tensor", 4)]
# What mergekit has; of those with masks nothing is dropped where its tensors are compared.
OPTIONS = {
    "linear": {},
    "slerp": {},
    "nuslerp": {"along": "row", "task_vectors": True},
    "multislerp": {},
    "karcher": {"weight": 1.0},
    "task_arithmetic": {"lambda_": {"low": 0.5, "high": 1.5}, "normalize": True},
    "ties": {"normalize": True},
    "dare_linear": {},
    "dare_ties": {"rescale": "l1"},
    "breadcrumbs": {"density": {"low": 0.1, "high": 0.9}, "gamma": {"low": 0, "high": 0.1}},
    "breadcrumbs_ties": {"density": 0.5, "rescale": "l1"},
    "della": {"density": {"low": 0.3, "high": 0.7}, "epsilon": 0.1},
    "della_linear": {"density": 0.5, "epsilon": {"low": 0.1, "high": 0.3}},
    "model_stock": {"along": "row", "lambda_": 1.0},
    "sce": {"lambda_": 1.0},
    "nearswap": {},
    "arcee_fusion": {"weight": 1.0},
    "ram": {"lambda_": 1.0, "boost": {"low": 0.0, "high": 0.5}},
    "passthrough": {"source": "b", "scale": {"low": -1, "high": 1}},
}
PAIRS = ("slerp", "nuslerp", "nearswap")


@pytest.fixture
def pool_of(pico):
    """Return what opens as many models as a method of mergekit takes."""

    def open_for(method):
        names = ["base", "a", "b", "c"]
        if method in PAIRS:
            names = ["base", "a", "b"]
        if method == "arcee_fusion":
            names = ["base", "a"]
        if method in ("slerp", "nearswap", "multislerp", "karcher", "linear", "passthrough"):
            names.remove("base")
        return open_pico({name: pico[name] for name in names})

    return open_for


@pytest.fixture
def winner(compose, pool_of):
    """Return what makes a merger and a recipe of random numbers."""

    def make(method, granularity="whole", block_size=4, **more):
        node = {**compose(f"merge={method}")["merge"], **OPTIONS[method], **more}
        node |= {"granularity": granularity, "block_size": block_size}
        merger = build(node, "merge", pool=pool_of(method))
        searched = any(not given.fixed for given in {**merger.ranges, **merger.shared}.values())
        if searched:
            genome = np.random.default_rng(5).random(merger.space.dim)
            return merger, merger.recipe(genome)
        usual = {key: given.init for key, given in merger.ranges.items()}
        columns = dict.fromkeys(merger.searched, usual)
        return merger, merger.recipe_of(dict.fromkeys(merger.groups, columns))

    return make


def written(merger, recipe):
    return mergekit_config(merger.build(recipe), recipe, merger.pool)


@pytest.mark.parametrize(("granularity", "block_size"), LAYOUTS)
@pytest.mark.parametrize("method", OPTIONS)
def test_what_is_written_and_read_again_is_the_same_recipe(method, granularity, block_size, winner):
    merger, recipe = winner(method, granularity, block_size)
    found = start(
        parse(written(merger, recipe)),
        merger.pool,
        granularity=granularity,
        block_size=block_size,
    )
    again = found.merger.recipe_of(found.values)
    assert again.content["values"] == recipe.content["values"]
    assert again.content["sources"] == recipe.content["sources"]
    same = {k: v for k, v in recipe.content["options"].items() if k != "rescale"}
    assert {k: v for k, v in again.content["options"].items() if k != "rescale"} == same


@pytest.fixture
def others(pico, save_pico, tmp_path):
    """Pools of another type, and of models with other tokens."""
    base = save_pico("base", seed=0, dtype=torch.bfloat16)
    near = save_pico("a", seed=1, near=base, dtype=torch.bfloat16)
    wide = save_wide(pico["a"], tmp_path / "wide")
    models = {"base": pico["base"], "wide": wide, "b": pico["b"]}
    return {
        "bfloat16": open_pico({"base": base, "a": near}),
        "union": open_pico(models, tokenizer="union", pad_to_multiple_of=8),
        "one": open_pico(models, tokenizer="b"),
    }


@needs_mergekit
def test_mergekit_makes_the_same_of_what_is_written(winner, others, tmp_path):
    made = {}
    for number, method in enumerate(OPTIONS):
        granularity, size = LAYOUTS[1:][number % 4]
        more = {"density": 1.0} if method.startswith(("dare", "della")) else {}
        merger, recipe = winner(method, granularity, size, **more)
        made[method] = merger.build(recipe)
        (tmp_path / f"{method}.yml").write_text(written(merger, recipe))
    for name, pool in others.items():
        merger = TaskArithmetic(pool, weight=WEIGHT)
        recipe = merger.recipe(merger.space.init)
        made[name] = merger.build(recipe)
        (tmp_path / f"{name}.yml").write_text(written(merger, recipe))
    by_mergekit(tmp_path)
    for method, candidate in made.items():
        found = weights(tmp_path / method)
        assert set(found) == set(candidate.names)
        for name, tensor in found.items():
            wanted = torch.empty_like(tensor)
            candidate.write(name, wanted)
            # Of two numbers that are alike to float32 one may be rounded up, the other down.
            close = {"rtol": 1e-5, "atol": 2e-6} if tensor.dtype == torch.float32 else {}
            torch.testing.assert_close(tensor, wanted, **close, msg=f"{method} {name}")


def text(merger, path):
    recipe = merger.recipe_of(path)
    return mergekit_config(merger.build(recipe), recipe, merger.pool)


@pytest.fixture
def paths(pool):
    return Dfs(pool, sources=["a", "b"])


def test_numbers_that_are_alike_are_one_number(pool):
    content = yaml.safe_load(written(*_linear(pool, {"all": {"a": 0.25, "b": 0.5}}, "whole")))
    assert content["merge_method"] == "linear"
    assert "base_model" not in content
    assert [each["parameters"] for each in content["models"]] == [{"weight": 0.25}, {"weight": 0.5}]


def _linear(pool, weights, granularity):
    merger = Linear(pool, weight=WEIGHT, granularity=granularity)
    return merger, merger.recipe_of(
        {group: {s: {"weight": w} for s, w in row.items()} for group, row in weights.items()}
    )


def test_layers_are_a_list_and_what_is_outside_has_filters(pool):
    weights = {"embedding": {"a": 0.1}, "final_norm": {"a": 0.2}, "lm_head": {"a": 0.3}}
    weights |= {f"layer{n}": {"a": 0.5 + n} for n in range(4)}
    content = yaml.safe_load(written(*_linear(pool, weights, "layer")))
    assert content["models"][0]["parameters"]["weight"] == [
        {"filter": "model.embed_tokens", "value": 0.1},
        {"filter": "model.norm", "value": 0.2},
        {"filter": "lm_head", "value": 0.3},
        {"value": [0.5, 1.5, 2.5, 3.5]},
    ]


def test_the_head_says_what_mergekit_does_otherwise(winner):
    head = "".join(line for line in written(*winner("dare_ties")).splitlines() if line[0] == "#")
    assert "draws other random masks" in head
    # DARE's own rule is to divide by the density; mergekit has another.
    expected = written(*winner("dare_ties", rescale="expected"))
    assert "divided by the density" in expected
    assert yaml.safe_load(expected)["parameters"]["rescale"] is True
    assert "Not the same" not in written(*winner("dare_ties", density=1.0))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("dare_ties", {"elect": "raw"}),
        ("karcher", {"weight": {"low": 0.0, "high": 1.0}}),
        ("model_stock", {"lambda_": 0.5}),
        ("arcee_fusion", {"weight": 0.5}),
        ("ram", {"lambda_": {"low": 0.0, "high": 1.0}}),
    ],
)
def test_what_mergekit_cannot_make_is_not_written(method, options, winner):
    assert written(*winner(method, **options)) is None


def test_mergekit_interpolates_between_two_models_only(pool):
    merger = Nuslerp(pool, weight=WEIGHT)
    assert written(merger, merger.recipe(merger.space.init)) is None
    merger = Multislerp(pool, weight={"low": 0, "high": 1, "init": 0})
    assert written(merger, merger.recipe(merger.space.init)) is None


def test_sources_from_module_to_module_are_a_linear_merge(winner):
    merger, recipe = winner("passthrough", "module", source=None)
    content = yaml.safe_load(written(merger, recipe))
    assert content["merge_method"] == "linear"
    assert content["parameters"] == {"normalize": False}
    found = start(parse(written(merger, recipe)), merger.pool)
    again, first = merger.build(recipe), found.merger.build(found.merger.recipe_of(found.values))
    for name in again.names:
        torch.testing.assert_close(first.tensor(name), again.tensor(name))


def test_other_types_are_stored_not_merged_in(save_pico):
    base = save_pico("base", seed=0, dtype=torch.bfloat16)
    pool = open_pico({"a": base, "b": save_pico("b", seed=1, near=base, dtype=torch.bfloat16)})
    content = yaml.safe_load(written(*_linear(pool, {"all": {"a": 0.25, "b": 0.5}}, "whole")))
    assert (content["dtype"], content["out_dtype"]) == ("float32", "bfloat16")


def test_a_folder_that_mergekit_cannot_name_is_not_written(pico, tmp_path):
    folder = tmp_path / "a+b"
    shutil.copytree(pico["a"], folder)
    pool = open_pico({"a": folder, "b": pico["b"]})
    assert written(*_linear(pool, {"all": {"a": 0.25, "b": 0.5}}, "whole")) is None


def test_a_path_is_a_slice_a_hop_with_factors_on_what_is_added(paths, pico):
    content = yaml.safe_load(text(paths, PATH))
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


def test_a_path_without_scales_needs_no_filters(paths):
    content = yaml.safe_load(text(paths, [Hop("a", 0), Hop("b", 1), Hop("a", 3)]))
    assert all("parameters" not in part["sources"][0] for part in content["slices"])


@pytest.mark.parametrize("target", ["stream", "branch"])
def test_a_path_that_is_written_and_read_again_is_the_same_path(pool, target):
    merger = Dfs(pool, sources=["a", "b"], scale_target=target)
    recipe = merger.recipe_of(PATH)
    again, _ = fixed_path(parse(written(merger, recipe)), pool)
    assert again.content == recipe.content


def test_scales_that_are_none_of_a_path_are_refused(paths):
    broken = text(paths, PATH).replace("value: 0.5", "value: 0.0").replace("value: 2.0", "value: 0")
    with pytest.raises(ConfigError, match="scales of a path that are folded as it writes them"):
        fixed_path(parse(broken), paths.pool)


def test_an_untied_output_embedding_has_no_configuration(save_pico):
    base = save_pico("base", seed=0, tie_word_embeddings=True)
    folders = {"a": base, "b": save_pico("b", seed=2, near=base)}
    assert text(Dfs(open_pico(folders)), [Hop("a", 0, 2.0), Hop("a", 3)]) is None


@pytest.fixture
def hybrid(pool):
    """A path through a TIES merge, and its recipe."""
    ties = Ties(pool, weight=WEIGHT)
    paths = Dfs(pool, merged=True, sources=["b"]).over(ties.recipe(ties.space.init))
    return paths, [Hop("merged", 0, 0.5), Hop("b", 1, 2.0), Hop("merged", 3)]


def test_a_path_through_a_merge_is_two_documents(hybrid):
    first, second = yaml.safe_load_all(text(*hybrid))
    assert (first["name"], first["merge_method"]) == ("merged", "ties")
    assert second["slices"][0]["sources"][0]["model"] == "merged"
    assert text(*hybrid).startswith("# This merge for mergekit: mergekit-multi mergekit_config.yml")


@needs_mergekit
def test_mergekit_makes_the_same_of_paths(paths, hybrid, pool, tmp_path):
    branch = Dfs(pool, sources=["a", "b"], scale_target="branch")
    made = {"stream": (paths, PATH), "branch": (branch, PATH)}
    for name, case in made.items():
        (tmp_path / f"{name}.yml").write_text(text(*case))
    by_mergekit(tmp_path)
    (tmp_path / "hybrid.txt").write_text(text(*hybrid))
    by_mergekit_multi(tmp_path / "hybrid.txt", tmp_path / "hybrid")
    for name, (merger, path) in {**made, "hybrid": hybrid}.items():
        candidate = merger.build(merger.recipe_of(path))
        found = weights(tmp_path / name)
        assert set(found) == set(candidate.names)
        for tensor in candidate.names:
            torch.testing.assert_close(
                found[tensor],
                candidate.tensor(tensor),
                rtol=1e-5,
                atol=2e-6,
                msg=f"{name} {tensor}",
            )
