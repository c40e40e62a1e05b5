"""Who of a search answers the select items: its best, and what the optimizer believes in."""

import math

import numpy as np

from evoforge.recipe import Recipe
from evoforge.record import Record
from evoforge.stage import Stage


def finalists(record: Record, stage: Stage, count: int) -> list[Recipe]:
    """Return the recipes of best mean fitness, and those that the optimizer itself recommends.

    Fitness is what the optimizer was told; who was judged by a proxy alone is no finalist.

    Args:
        record: of the run.
        stage: the search.
        count: how many of the best.
    """
    keys = ranked(record, stage.name)
    recipes = {key: record.recipe(key) for key in keys[:count]}
    for genome in stage.optimizer.recommend():
        recommended = stage.merger.recipe(genome)
        recipes.setdefault(recommended.hash, recommended)
    return list(recipes.values())


def ranked(record: Record, stage: str) -> list[str]:
    """Return the hashes of a search's recipes, those of best mean fitness first.

    Who failed, was judged by a proxy alone, or not at all, is left out.
    """
    found: dict[str, list[float]] = {}
    told: dict[int, np.ndarray | None] = {}
    proxies = record.proxies()
    for candidate in record.candidates(genomes=False):
        if candidate.stage != stage or candidate.evaluation is None:
            continue
        if candidate.generation not in told:
            told[candidate.generation] = record.told(stage, candidate.generation)
        fitness = told[candidate.generation]
        proxy = candidate.evaluation in proxies
        if fitness is not None and not proxy and math.isfinite(fitness[candidate.position]):
            found.setdefault(candidate.recipe, []).append(float(fitness[candidate.position]))
    # Sorting is stable: of equals, the one found first.
    return sorted(found, key=lambda recipe: -float(np.mean(found[recipe])))
