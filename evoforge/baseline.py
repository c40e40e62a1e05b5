"""What a search must beat: every source, and the merges that nobody has to search for."""

import logging

import numpy as np

from evoforge.merge.base import Merger
from evoforge.merge.dare_ties import DareTies
from evoforge.merge.dfs import whole
from evoforge.merge.linear import Linear
from evoforge.merge.ties import Ties
from evoforge.models.pool import Pool
from evoforge.recipe import Recipe
from evoforge.space import Genome

log = logging.getLogger(__name__)


def baselines(merger: Merger, seed: int = 0, start: Genome | None = None) -> dict[str, Recipe]:
    """Return the recipes to score beside the winner, by name.

    Every source by its name, `uniform_soup` (the mean of all but the base), `unoptimised_ties` and
    `unoptimised_dare_ties` (weights 1, density 0.5; where there is a base), and what the merger
    adds, such as `start_point`, where the search begins. Where the sources' weights do not fit each
    other, which a path through layers does not need, only what can be made of them.

    Args:
        merger: of the search.
        seed: of the masks of DARE.
        start: where the first search begins, if not where its space says.
    """
    pool = merger.pool
    found = {}
    for source in pool.members:
        if source.name in pool.misfits:
            log.warning("not scored alone: %s", pool.misfits[source.name])
        else:
            found[source.name] = _alone(pool, source.name)
    if not pool.misfits:
        found |= _unoptimised(pool, seed)
    first = merger.phases[0].merger
    if start is None or np.array_equal(start, first.space.init):
        return found | merger.baselines()
    return found | merger.baselines() | {"start_point": first.recipe(start)}


def _alone(pool: Pool, name: str) -> Recipe:
    # A merger wants all sources of its pool to fit each other.
    if pool.misfits:
        return whole(pool, name)
    return Linear(pool).recipe_of({"all": {name: {"weight": 1.0}}})


def _unoptimised(pool: Pool, seed: int) -> dict[str, Recipe]:
    """Return the merges of all sources with the numbers that people start with."""
    soup = {source.name: {"weight": 1.0} for source in pool.sources}
    found = {"uniform_soup": Linear(pool).recipe_of({"all": soup})}
    if pool.base is not None:
        ties = {source.name: {"weight": 1.0, "density": 0.5} for source in pool.sources}
        found["unoptimised_ties"] = Ties(pool).recipe_of({"all": ties})
        found["unoptimised_dare_ties"] = DareTies(pool, seed=seed).recipe_of({"all": ties})
    return found
