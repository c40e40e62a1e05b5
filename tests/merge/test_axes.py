import pytest

from evoforge.errors import ConfigError
from evoforge.merge import _tensors
from evoforge.merge._axes import Axes
from evoforge.merge.linear import Linear
from evoforge.merge.task_arithmetic import TaskArithmetic
from evoforge.merge.ties import Ties
from evoforge.space import DECIMALS

WEIGHT = {"low": 0.0, "high": 1.0}
DENSITY = {"low": 0.1, "high": 1.0}


def test_a_profile_has_points_along_the_depth_and_groups_of_its_own_outside(pool):
    # Four layers with points every two at most: at layers 0, 1.5 and 3.
    axes = Axes(pool.names, "profile", 2)
    assert axes.names == ("embedding", "depth0", "depth1", "depth2", "final_norm", "lm_head")
    assert axes.points("layer0") == {"depth0": 1.0}
    assert axes.points("layer1") == pytest.approx({"depth0": 1 / 3, "depth1": 2 / 3})
    assert axes.points("layer3") == {"depth2": 1.0}


def test_layers_between_points_are_interpolated(pool):
    merger = Linear(pool, weight=WEIGHT, granularity="profile", block_size=3)
    values = dict.fromkeys(merger.space.names, 0.2) | {"depth1.a.weight": 0.8}
    recipe = merger.recipe(merger.space.encode(values))
    found = [recipe.content["values"][f"layer{i}"]["a"]["weight"] for i in range(4)]
    assert found == [0.2, 0.4, 0.6, 0.8]
    assert recipe.content["values"]["embedding"]["a"]["weight"] == 0.2


def test_a_recipe_of_a_profile_is_one_of_layers(pool):
    smooth = Linear(pool, weight=WEIGHT, granularity="profile", block_size=2)
    recipe = smooth.recipe(smooth.space.init)
    assert recipe.content["options"]["granularity"] == "layer"
    layered = Linear(pool, weight=WEIGHT, granularity="layer", block_size=2)
    assert recipe.hash == layered.recipe(layered.space.init).hash


@pytest.mark.parametrize("size", [0, 4])
def test_points_must_fit_between_the_ends(pool, size):
    with pytest.raises(ConfigError, match=r"block_size must be in \[1, 3\]"):
        Axes(pool.names, "profile", size)


def test_shared_parameters_have_one_gene_a_group(pool):
    merger = TaskArithmetic(
        pool, weight=0.5, lambda_={"low": 0.5, "high": 1.5}, granularity="block", block_size=2
    )
    assert merger.space.names == (
        "embedding.*.lambda_",
        "layers0-1.*.lambda_",
        "layers2-3.*.lambda_",
        "final_norm.*.lambda_",
        "lm_head.*.lambda_",
    )
    recipe = merger.recipe(merger.space.init)
    assert recipe.content["values"]["embedding"]["*"] == {"lambda_": round(1.0, DECIMALS)}


@pytest.mark.parametrize(("density", "genes"), [(DENSITY, 90), (0.5, 45)])
def test_auto_is_modules_where_genes_are_few(pool, density, genes):
    # Three sources in four layers of three modules, and three groups outside.
    merger = Ties(pool, weight=WEIGHT, density=density, granularity="auto")
    assert (merger.options["granularity"], merger.space.dim) == ("module", genes)


@pytest.mark.parametrize(
    ("most", "wanted"), [(90, "module"), (89, "layer"), (41, "block"), (23, "whole"), (5, "whole")]
)
def test_auto_is_coarser_where_genes_are_many(pool, most, wanted, monkeypatch):
    monkeypatch.setattr(_tensors, "MOST_GENES", most)
    merger = Ties(pool, weight=WEIGHT, density=DENSITY, granularity="auto")
    assert merger.options["granularity"] == wanted


def test_auto_is_never_a_block_larger_than_the_model(pool, monkeypatch):
    monkeypatch.setattr(_tensors, "MOST_GENES", 41)
    merger = Ties(pool, weight=WEIGHT, density=DENSITY, granularity="auto", block_size=5)
    assert merger.options["granularity"] == "whole"
