"""What every recipe says of the pool it was made for, beside its sources."""

from typing import Any

from evoforge.errors import ConfigError
from evoforge.models.pool import Pool
from evoforge.recipe import FORMAT, Recipe

# What to do about a recipe that was made for something else.
ADVICE = {
    "format": "make it again with the evoforge that made it, or start a new run",
    "dtype": "set models.dtype",
    "vocabulary": "set models.tokenizer, models.truncate, models.pad_to_multiple_of as they were",
    "vision": "set models.vision as it was, and restore the model that it names",
}

# What takes too many words to be said as it is.
LONG = {"vocabulary": "another vocabulary", "vision": "another way to see"}


def facts(pool: Pool) -> dict[str, Any]:
    """Return a pool's part of its recipes."""
    vocabulary = {} if pool.vocabulary is None else {"vocabulary": pool.vocabulary}
    vision = {} if pool.vision is None else {"vision": pool.vision.facts}
    return {"format": FORMAT, "dtype": pool.dtype_name, **vocabulary, **vision}


def check_facts(recipe: Recipe, pool: Pool) -> None:
    """Make sure that a recipe gives the weights here that it was made for.

    Raises:
        ConfigError: it was made for another format, type, vocabulary or way to see.
    """
    mine = facts(pool)
    for key, advice in ADVICE.items():
        if recipe.content.get(key) != mine.get(key):
            other = f"{key} {recipe.content.get(key)}, not {mine.get(key)}"
            other = LONG.get(key, other)
            raise ConfigError(f"the recipe {recipe.hash} was made for {other}; {advice}")
