"""What a search must beat: every source, and the merges that nobody has to search for."""

from evoforge.merge.base import Merger
from evoforge.merge.linear import Linear
from evoforge.merge.ties import Ties
from evoforge.models.pool import Pool
from evoforge.recipe import Recipe


def baselines(pool: Pool, merger: Merger) -> dict[str, Recipe]:
    """Return the recipes to score beside the winner, by name.

    Every source by its name, `uniform_soup` (the mean of all but the base), `unoptimised_ties`
    (weights 1, density 0.5; where there is a base), and `start_point`, where the search begins.
    """
    linear = Linear(pool)
    found = {
        source.name: linear.recipe_of({"all": {source.name: {"weight": 1.0}}})
        for source in pool.members
    }
    soup = {source.name: {"weight": 1.0} for source in pool.sources}
    found["uniform_soup"] = linear.recipe_of({"all": soup})
    if pool.base is not None:
        ties = {source.name: {"weight": 1.0, "density": 0.5} for source in pool.sources}
        found["unoptimised_ties"] = Ties(pool).recipe_of({"all": ties})
    found["start_point"] = merger.recipe(merger.space.init)
    return found
