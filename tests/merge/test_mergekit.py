"""Searches that start from a mergekit file."""

import numpy as np
import pytest
import torch

from evoforge.errors import ConfigError
from evoforge.merge._mergekit import kept
from evoforge.merge.mergekit import Mergekit, fixed
from evoforge.mergekit_yaml.document import read
from evoforge.models.mergekit import open_mergekit
from evoforge.path import hops
from evoforge.space import Genome
from tests.mergekit_cases import CASES, save_wide, text


@pytest.fixture(scope="module")
def models(pico, tmp_path_factory):
    """The pico models, and one with a token more."""
    return {**pico, "wide": save_wide(pico["a"], tmp_path_factory.mktemp("wide") / "wide")}


@pytest.fixture
def file_of(models, tmp_path):
    """Return what writes a case, or another text with the models' folders in it."""

    def write(case):
        path = tmp_path / "recipe.yml"
        path.write_text(text(case, models) if case in CASES else case.format(**models))
        return str(path)

    return write


@pytest.fixture
def merger_of(file_of):
    def make(case, **options):
        file = file_of(case)
        return Mergekit(open_mergekit(file=file), file=file, **options)

    return make


@pytest.mark.parametrize("case", CASES)
def test_the_search_starts_with_the_file_s_own_merge(case, merger_of, file_of):
    merger = merger_of(case)
    started = merger.recipe(merger.space.init)
    document = read(file_of(case))
    recipe, candidate, _ = fixed(document, open_mergekit(file=file_of(case)))
    assert started.hash == recipe.hash == merger.baselines()["mergekit_recipe"].hash
    assert merger.build(started).identity == candidate.identity


def test_numbers_are_searched_around_those_of_the_file(merger_of):
    merger = merger_of("ties", search=["weight"], reach=0.25)
    assert merger.space.names[0].startswith("embedding.")
    first = merger.space.params[0]
    assert (first.low, first.init, first.high) == (0.45, 0.7, 0.95)
    assert {name.rpartition(".")[2] for name in merger.space.names} == {"weight"}


def test_small_numbers_are_searched_in_shares_of_themselves(merger_of):
    (first, *_) = merger_of("nearswap", reach=0.5).space.params
    assert (first.low, first.init, first.high) == (0.005, 0.01, 0.015)


def test_ranges_are_the_same_for_all_numbers(merger_of):
    merger = merger_of("ties", search=["weight"], ranges={"weight": {"low": -1, "high": 2}})
    assert {(param.low, param.high) for param in merger.space.params} == {(-1, 2)}
    genome = np.zeros(merger.space.dim)
    values = merger.recipe(genome).content["values"]
    weights = [column["weight"] for g in values.values() for s, column in g.items() if s != "*"]
    assert set(weights) == {-1.0}


def test_densities_stay_what_they_can_be(merger_of):
    merger = merger_of("dare_ties", search=["density"])
    assert {(param.low, param.high) for param in merger.space.params} == {(0.5, 1.0)}


@pytest.mark.parametrize(
    ("case", "granularity"),
    [
        ("karcher", "whole"),
        ("nuslerp", "layer"),
        ("slerp", "module"),
        ("passthrough", "tensor"),
        ("linear_slices", "layer"),
    ],
)
def test_groups_are_as_fine_as_the_numbers_are(case, granularity, merger_of):
    recipe = merger_of(case).baselines()["mergekit_recipe"]
    assert recipe.content["options"]["granularity"] == granularity


def test_groups_may_be_finer(merger_of):
    assert merger_of("karcher", granularity="layer").space.dim == 3 * (4 + 3)


@pytest.mark.parametrize(
    ("case", "options", "message"),
    [
        ("slerp", {"granularity": "layer"}, r"granularity must be as fine .*got layer"),
        ("slerp", {"granularity": "profile"}, r"got profile; set merge\.granularity=null"),
        ("ties", {"reach": 0.0}, r"reach must be in \(0, 10\], got 0.0; set merge\.reach"),
        ("ties", {"search": ["t"]}, r"search must name some of weight, .*got t; set merge\.search"),
        ("ties", {"ranges": {"weight": {"low": 0.6, "high": 1}}}, r"\[0.6, 1\] for 0.2"),
        ("ties", {"search": [["weight"]]}, r"got \[\['weight'\]\]; set merge\.search"),
        ("ties", {"search": 3}, r"got 3; set merge\.search"),
        ("ties", {"ranges": ["weight"]}, r"got \['weight'\]; set merge\.ranges"),
        (
            "ties",
            {"ranges": {"weight": {"low": -1, "high": 2, "kind": "integer"}}},
            r"must be whole for ranges\.weight of kind integer, got 0.7",
        ),
    ],
)
def test_options_that_do_not_fit_the_file_are_named(case, options, message, merger_of):
    with pytest.raises(ConfigError, match=message):
        _ = merger_of(case, **options).space


def test_a_file_must_be_named(pool):
    with pytest.raises(ConfigError, match=r"set merge\.file"):
        Mergekit(pool)


def test_the_models_must_be_those_of_the_file(pool, file_of, save_pico):
    other = save_pico("other", seed=9)
    file = file_of(
        f"merge_method: linear\nmodels: [{{{{model: {other}}}}}]\nparameters: {{{{weight: 1}}}}"
    )
    with pytest.raises(ConfigError, match=r"which is none of the sources; set models=mergekit"):
        Mergekit(pool, file=file)


def test_another_pool_that_has_the_models_will_do(pool, file_of):
    # `pool` calls them base, a, b, c.
    merger = Mergekit(pool, file=file_of("ties"))
    assert [source["name"] for source in merger.baselines()["start_point"].content["sources"]] == [
        "a",
        "b",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "parameters: {{weight: 11}}",
            r"weight must be in \[-10, 10\], got 11.0; change it in the",
        ),
        ("", "linear needs weight for .*base"),
        (
            "parameters: {{weight: 1, normalize: [{{filter: mlp, value: false}}]}}",
            "normalize must be the same for all tensors",
        ),
    ],
)
def test_numbers_that_cannot_be_used_are_named(change, message, merger_of):
    with pytest.raises(ConfigError, match=message):
        merger_of(f"merge_method: linear\nmodels: [{{{{model: {{base}}}}}}]\n{change}")


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        ([("a", 0, 2), ("b", 0, 2)], "must go through all 4 layers, got 2"),
        ([("a", 0, 4), ("b", 0, 4), None, ("a", 3, 4), ("b", 3, 4)], "layer 4 is not next"),
        ([("a", 0, 4), ("b", 0, 4), None, ("a", 3, 4)], "the same layers of the same models"),
    ],
)
def test_merged_slices_must_be_the_layers_in_order(slices, message, merger_of):
    lines = ["merge_method: linear", "parameters: {{weight: 1}}", "slices:", "- sources:"]
    for part in slices:
        if part is None:
            lines.append("- sources:")
        else:
            lines.append(f"  - {{{{model: {{{part[0]}}}, layer_range: [{part[1]}, {part[2]}]}}}}")
    with pytest.raises(ConfigError, match=message):
        merger_of("\n".join(lines))


def test_nothing_is_kept_of_a_source_without_density(merger_of, pool):
    content = """
merge_method: ties
base_model: {base}
models:
  - {{model: {a}, parameters: {{weight: 1, density: [0, 0.5]}}}}
"""
    merger = merger_of(content)
    found = merger.build(merger.baselines()["mergekit_recipe"])
    name = "model.layers.0.mlp.up_proj.weight"
    torch.testing.assert_close(found.tensor(name), pool.tensors("base")[name])


def test_a_path_is_searched_from_the_file_s_own(merger_of):
    merger = merger_of("path")
    started = merger.recipe(merger.space.init)
    first, *_ = merger.depths if hasattr(merger, "depths") else list(merger.facts["layers"])
    assert [(hop.source == first, hop.layer) for hop in hops(started.content)] == [
        (True, 0),
        (True, 1),
        (True, 2),
        (False, 1),
        (False, 2),
        (True, 2),
        (True, 3),
    ]
    # Only slots of the path are in, and all of them may go but the ends.
    fewest: Genome = np.zeros(merger.space.dim)
    assert len(hops(merger.recipe(fewest).content)) == 2


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        (["a 1 4", "b 1 4"], "begins with the first layer"),
        (["a 0 3", "b 1 3"], "ends with the last"),
        (["a 0 3", "a 2 4"], r"two models or more, got \w+ alone"),
        (["a 0 5"], "has the layers 0 to 3, the path has 4"),
    ],
)
def test_paths_that_cannot_be_searched_are_refused(slices, message, merger_of):
    lines = ["merge_method: passthrough", "slices:"]
    for part in slices:
        name, first, after = part.split()
        source = f"{{{{model: {{{name}}}, layer_range: [{first}, {after}]}}}}"
        lines.append(f"- sources: [{source}]")
    with pytest.raises(ConfigError, match=message):
        merger_of("\n".join(lines))


TWO = """
merge_method: {method}
models:
  - {{{{model: {{a}}, parameters: {{{{weight: {first}}}}}}}}}
  - {{{{model: {{b}}, parameters: {{{{weight: {second}}}}}}}}}
base_model: {{a}}
"""
SMALL = TWO.format(method="linear", first="1e-7", second="2e-7")
NEAR = "merge_method: nearswap\nbase_model: {a}\nmodels: [{{model: {b}}}]\nparameters: {{t: 4e-7}}"


def test_small_numbers_stay_what_they_are(file_of, pool):
    name = "model.layers.0.mlp.up_proj.weight"
    for content, share in ((SMALL, 2 / 3), (NEAR, None)):
        file = file_of(content)
        _, candidate, _ = fixed(read(file), open_mergekit(file=file))
        first, second = pool.tensors("a")[name], pool.tensors("b")[name]
        wanted = (4e-7 / (second - first).abs().clamp(min=1e-6)).clamp(max=1.0)
        wanted = first + (second - first) * (wanted if share is None else share)
        torch.testing.assert_close(candidate.tensor(name), wanted, rtol=1e-5, atol=1e-8)
        assert not torch.equal(candidate.tensor(name), first)


@pytest.mark.parametrize(
    ("number", "wanted"),
    [
        (1e-7, 1e-7),
        (-1.23456789e-9, -1.23457e-9),
        (0.00126582278, 0.00126582),
        (1 / 3, 0.333333),
        (0.1 + 0.2, 0.3),
        (0.0, 0.0),
        (7.0, 7.0),
    ],
)
def test_numbers_keep_six_digits_or_decimals(number, wanted):
    assert kept(number) == wanted


def test_numbers_that_a_space_does_not_hold_are_not_searched(merger_of):
    mixed = TWO.format(method="linear", first="1.5e-6", second="0.5")
    merger = merger_of(mixed)
    assert merger.space.dim == 1
    assert merger.recipe(merger.space.init).hash == merger.baselines()["mergekit_recipe"].hash
    for content in (SMALL, NEAR):
        with pytest.raises(ConfigError, match=r"6 decimals at most to be searched, got \de-07"):
            _ = merger_of(content).space
    with pytest.raises(ConfigError, match=r"for ranges\.weight, got 1\.5e-06"):
        _ = merger_of(mixed, ranges={"weight": {"low": 0, "high": 1}}).space


def test_weights_too_small_to_be_divided_by_are_refused(merger_of):
    with pytest.raises(ConfigError, match="weights must sum to 1e-08 or more .*got 3e-09"):
        merger_of(TWO.format(method="linear", first="1e-9", second="2e-9"))


def test_whole_numbers_of_the_file_may_be_searched_as_such(merger_of):
    ranges = {"weight": {"low": 0, "high": 3, "kind": "integer"}}
    merger = merger_of(TWO.format(method="linear", first="1", second="2"), ranges=ranges)
    assert merger.recipe(merger.space.init).hash == merger.baselines()["mergekit_recipe"].hash
