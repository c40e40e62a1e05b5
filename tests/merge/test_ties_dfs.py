from functools import partial

import numpy as np
import pytest
import torch

from evoforge.config import build
from evoforge.errors import ConfigError
from evoforge.merge.base import Mergers
from evoforge.merge.dfs import Dfs
from evoforge.merge.ties import Ties
from evoforge.merge.ties_dfs import TiesDfs
from evoforge.path import hops
from tests.conftest import open_pico
from tests.loop import WEIGHT


@pytest.fixture
def hybrid(pool):
    """Return a maker of mergers: TIES of a, b and c, then paths through the merge and b."""

    def make(dfs=None, **options):
        paths = partial(Dfs, **{"sources": ["b"], "repeats": 1, **(dfs or {})})
        return TiesDfs(pool, ps=partial(Ties, weight=WEIGHT), dfs=paths, **options)

    return make


def test_sequential_is_two_searches_that_share_the_budget(hybrid):
    first, second = hybrid(share=0.25).phases
    assert (first.name, first.share, first.done) == ("ps", 0.25, 0.0)
    assert (second.name, second.share, second.done) == ("dfs", 0.75, 0.25)
    assert first.merger.space.names == ("all.a.weight", "all.b.weight", "all.c.weight")
    # The merge's 4 layers and b's 4, a scale for each and for the end.
    assert second.merger.space.dim == 8 + 9


def test_the_second_search_starts_with_the_winner_of_the_first(hybrid, pool):
    first, second = hybrid().phases
    won = first.merger.recipe(np.array([0.9, 0.2, 0.4]))
    paths = second.merger.over(won)
    recipe = paths.recipe(paths.space.init)
    assert [hop.source for hop in hops(recipe.content)] == ["merged"] * 4
    assert recipe.content["sources"][0]["hash"] == won.hash
    found, merge = paths.build(recipe), first.merger.build(won)
    for name in pool.names:
        assert torch.equal(found.tensor(name), merge.tensor(name))


def test_joint_is_one_search_over_both(hybrid):
    merger = hybrid(schedule="joint")
    (only,) = merger.phases
    assert only.merger is merger
    assert merger.space.dim == 3 + 17
    assert merger.space.names[:4] == (
        "all.a.weight",
        "all.b.weight",
        "all.c.weight",
        "pass0_layer0.merged.in",
    )


def test_every_joint_genome_has_a_merge_and_a_path_of_its_own(hybrid):
    merger = hybrid(schedule="joint")
    one = merger.space.init
    other = one.copy()
    other[0], other[3 + 5] = 0.9, 0.9
    first, second = merger.recipe(one).content, merger.recipe(other).content
    assert first["sources"][0]["hash"] != second["sources"][0]["hash"]
    assert second["sources"][0]["recipe"]["values"]["all"]["a"]["weight"] == 0.9
    assert [hop.source for hop in hops(second)] == ["merged"] * 4 + ["b", "merged"]


def test_only_what_the_merge_changed_is_merged_again(hybrid):
    merger = hybrid(schedule="joint")
    genome = merger.space.init
    genome[3 + 5] = 0.9
    other = genome.copy()
    other[0] = 0.1
    first, second = (merger.build(merger.recipe(g)) for g in (genome, other))
    same = {name for name in first.names if first.key(name) == second.key(name)}
    # The fifth hop is b's own layer.
    assert same == {name for name in first.names if ".layers.4." in name}


def test_a_candidate_can_be_built_from_its_recipe_by_someone_else(hybrid, pico):
    merger = hybrid(schedule="joint")
    recipe = merger.recipe(np.full(merger.space.dim, 0.7))
    mine, other = merger.build(recipe), Mergers(open_pico(pico)).build(recipe)
    assert all(torch.equal(mine.tensor(name), other.tensor(name)) for name in mine.names)


def test_a_path_without_a_merge_cannot_be_written(hybrid):
    paths = hybrid().phases[1].merger
    with pytest.raises(ConfigError, match="the first model of this path is a merge, which is not"):
        paths.recipe(paths.space.init)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"schedule": "both"}, "one of sequential, joint, got both; set merge.schedule"),
        ({"share": 1.0}, r"share must be in \(0, 1\), got 1.0; set merge.share"),
    ],
)
def test_a_mistake_names_the_option(hybrid, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        hybrid(**options)


def test_a_source_with_the_merge_s_name_is_refused(pico):
    pool = open_pico({"base": pico["base"], "merged": pico["a"], "b": pico["b"]})
    with pytest.raises(ConfigError, match=r"no source may be called merged here; rename it"):
        TiesDfs(pool, ps=partial(Ties, weight=WEIGHT), dfs=Dfs)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("merge.ps.density=2", r"density must be in \(0, 1\], got 2.0; set merge.ps.density"),
        ("merge.dfs.repeats=0", "repeats must be at least 1, got 0; set merge.dfs.repeats"),
        ("merge.dfs.sources=[]", "got none alone; add a source .* or to merge.dfs.sources"),
        (
            "merge.ps={weight: 1.0, density: 1.0}",
            "there is nothing to search: .* for example merge.ps.weight=",
        ),
        ("merge.ps=3", "ps must be a mapping with _target_, got 3; set merge.ps"),
    ],
)
def test_an_option_of_a_part_is_named_as_it_is_typed(compose, pool, override, sentence):
    node = compose("merge=ties_dfs", override)["merge"]
    with pytest.raises(ConfigError, match=sentence):
        build(node, "merge", pool=pool)
