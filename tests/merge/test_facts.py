import pytest

from evoforge.errors import ConfigError
from evoforge.merge.base import Mergers
from evoforge.merge.dfs import whole
from evoforge.merge.linear import Linear
from evoforge.recipe import Recipe
from tests.conftest import open_pico


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
