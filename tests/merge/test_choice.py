import numpy as np
import pytest

from evoforge.config import build
from evoforge.errors import ConfigError


@pytest.fixture
def make(compose, pool):
    return lambda *more: build(compose("merge=choice", *more)["merge"], "merge", pool=pool)


def test_the_first_gene_says_which_method_it_is(make):
    merger = make()
    found = set()
    for gene in (0.1, 0.5, 0.9):
        genome = merger.space.init
        genome[0] = gene
        found.add(merger.recipe(genome).content["method"])
    assert found == {"dare_ties", "ties", "linear"}


def test_methods_share_the_parameters_of_one_name(make):
    names = make().space.names
    assert names[0] == "method"
    inside = {f"layer{i}_{module}" for i in range(4) for module in ("attention", "mlp", "norm")}
    groups = {"embedding", "final_norm", "lm_head", *inside}
    wanted = {f"{g}.{s}.{p}" for g in groups for s in "abc" for p in ("weight", "density")}
    assert set(names[1:]) == wanted
    assert len(names) == 1 + len(wanted)


def test_a_recipe_is_the_chosen_methods_own(make):
    merger = make()
    genome = np.full(merger.space.dim, 0.7)
    genome[0] = 0.5
    ties = merger.methods["ties"]
    recipe = merger.recipe(genome)
    assert recipe.hash == ties.recipe(np.full(ties.space.dim, 0.7)).hash


def test_other_methods_can_be_added_and_left_out(make):
    merger = make("+merge@merge.methods.della=della", "~merge.methods.linear")
    assert list(merger.methods) == ["dare_ties", "ties", "della"]


def test_bounds_must_agree(make):
    with pytest.raises(ConfigError, match=r"between the same bounds.*set merge.methods.ties"):
        make("merge.methods.ties.weight.high=2.0")


def test_one_method_is_no_choice(make):
    with pytest.raises(ConfigError, match="two methods to choose from, got ties"):
        make("~merge.methods.linear", "~merge.methods.dare_ties")


def test_an_option_of_a_method_is_named_in_full(make):
    with pytest.raises(ConfigError, match="set merge.methods.ties.density"):
        make("merge.methods.ties.density=2")
    with pytest.raises(ConfigError, match="merge.methods.ties has no option densty"):
        make("+merge.methods.ties.densty=0.5")


def test_every_method_starts_where_it_would_alone(make):
    merger = make()
    assert set(merger.baselines()) == {f"start_point_{name}" for name in merger.methods}


@pytest.mark.parametrize("option", ["ties_dfs", "dfs"])
def test_paths_are_no_method_to_choose(make, option):
    with pytest.raises(ConfigError, match=f"methods must merge weights.*got {option}"):
        make(f"+merge@merge.methods.{option}={option}")
