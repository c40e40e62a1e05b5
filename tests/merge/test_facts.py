import pytest

from evoforge.errors import ConfigError
from evoforge.merge.base import Mergers
from evoforge.merge.dfs import whole
from evoforge.merge.linear import Linear
from evoforge.recipe import Recipe
from tests.conftest import open_pico
from tests.vlms import make_vlm, open_vlm


@pytest.fixture(params=["merge", "path"])
def recipe(request, pool):
    if request.param == "path":
        return whole(pool, "a")
    return Linear(pool).recipe_of({"all": {"a": {"weight": 1.0}}})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 1}, "was made for format 1, not 2"),
        ({"dtype": "float16"}, "was made for dtype float16, not float32; set models.dtype"),
        ({"vocabulary": {"rows": 7}}, "was made for another vocabulary; set models.tokenizer"),
        ({"vision": {"source": "a"}}, "was made for another way to see; set models.vision as it"),
    ],
)
def test_a_recipe_made_for_something_else_is_refused(recipe, pool, change, said):
    with pytest.raises(ConfigError, match=said):
        Mergers(pool).build(Recipe({**recipe.content, **change}))


def test_a_padded_vocabulary_is_in_every_recipe(pico):
    pool = open_pico(pico, tokenizer="base", pad_to_multiple_of=64)
    for recipe in (whole(pool, "a"), Linear(pool).recipe_of({"all": {"a": {"weight": 1.0}}})):
        assert recipe.content["vocabulary"] == pool.vocabulary
        assert Mergers(pool).build(recipe).identity == recipe.hash


def test_what_merged_models_see_with_is_in_every_recipe(vlms):
    pool = open_vlm(vlms("llava"))
    for recipe in (whole(pool, "vlm"), Linear(pool).recipe_of({"all": {"llm": {"weight": 1.0}}})):
        assert recipe.content["vision"] == pool.vision.facts
        assert Mergers(pool).build(recipe).identity == recipe.hash


def test_a_recipe_made_with_other_settings_is_refused(tmp_path):
    folders = make_vlm("llava", tmp_path, of_llm={"sliding_window": 8})
    recipe = whole(open_vlm(folders, vision={"from": "vlm"}), "vlm")
    with pytest.raises(ConfigError, match="was made for another way to see"):
        Mergers(open_vlm(folders, vision={"from": "llm"})).build(recipe)
