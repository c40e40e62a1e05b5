"""A path of a recipe in the slots of another search: each hop finds its place there.

Knows slots and names; does not know genes.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.merge._encode import matched
from evoforge.merge._scales import Slot
from evoforge.models.pool import Pool
from evoforge.path import Hop, hops
from evoforge.recipe import Recipe
from evoforge.space import Genome, Param

log = logging.getLogger(__name__)

# Genes of slots in the path, and of others: two standard deviations of 1/6 from one half.
IN, OUT = 5 / 6, 1 / 6
# A difference between scales that nobody needs to be told.
ROUNDING = 1e-6


def renamed(content: Mapping[str, Any], names: Sequence[str], merged: str, pool: Pool) -> list[Hop]:
    """Return the hops of a recipe by the names that its models have here.

    What leads there leads here, if either of them is a merge.

    Args:
        content: the recipe's.
        names: of the models here, the one that leads first.
        merged: what a merge is called.
        pool: the sources.

    Raises:
        ConfigError: it has no path, or leads through a model that is not here.
    """
    path, refs = hops(content), content["sources"]
    if not path:
        raise ConfigError("it is a merge of weights, and this search is over paths")
    found = {refs[0]["name"]: merged} if merged in names else {}
    others = [ref for ref in refs if ref["name"] not in found]
    if inner := [ref["name"] for ref in others if "recipe" in ref]:
        raise ConfigError(
            f"its path leads through a merge ({inner[0]}), and this search has none; set merge to "
            "a method such as ties_dfs, or start from another run"
        )
    found |= matched(others, [s for s in pool.members if s.name in names])
    return [Hop(found[hop.source], hop.layer, hop.scale) for hop in path]


def placed(
    path: Sequence[Hop], slots: Sequence[Slot], layers: Sequence[tuple[str, int]], end: Slot
) -> list[Slot]:
    """Return the slot of each hop: the next that fits.

    Args:
        path: with the names of this search.
        slots: the layout, every model's layers in turn.
        layers: name and number of each layer of all models.
        end: the slot after the layout, of the layer that every path ends with.

    Raises:
        ConfigError: the path begins or ends elsewhere, or does not fit into the layout.
    """
    for what, hop, (name, layer) in (
        ("begin", path[0], layers[slots[0].layer]),
        ("end", path[-1], layers[end.layer]),
    ):
        if (hop.source, hop.layer) != (name, layer):
            raise ConfigError(
                f"its path {what}s with layer {hop.layer} of {hop.source}, here paths {what} with "
                f"layer {layer} of {name}; set merge.sources, whose first model leads"
            )
    found, place = [slots[0]], 0
    for hop in path[1:]:
        number = layers.index((hop.source, hop.layer))
        after = [n for n in range(place + 1, len(slots)) if slots[n].layer == number]
        if after:
            place = after[0]
            found.append(slots[place])
        elif len(found) + 1 == len(path) and found[-1].layer != end.layer:
            found.append(end)
        else:
            raise ConfigError(
                f"its path of {len(path)} hops does not fit into {len(slots) // len(layers)} "
                f"passes through all layers, hop {len(found) + 1} has no place; set merge.repeats"
            )
    return found


def genes(params: Sequence[Param], slots: Sequence[Slot], scales: Mapping[str, float]) -> Genome:
    """Return a genome with these slots in, all others out, and these scales; the rest at its start.

    Args:
        params: of the search.
        slots: of the path.
        scales: parameter -> number, moved to the nearest that it can have.
    """
    taken = {f"{slot.name}.in" for slot in slots}

    def gene(param: Param) -> float:
        if param.kind == "binary":
            return IN if param.name in taken else OUT
        scale = scales.get(param.name)
        return (
            param.start if scale is None else param.encode(min(max(scale, param.low), param.high))
        )

    return np.array([gene(param) for param in params])


def tell_scales(wanted: Sequence[Hop], found: Sequence[Hop], recipe: Recipe, target: str) -> None:
    """Warn if scales of a path are others here, or multiply something else.

    Args:
        wanted: the path with the recipe's scales.
        found: with those of the search.
        recipe: of the path.
        target: what scales multiply here.
    """
    pairs = [
        (a, b) for a, b in zip(wanted, found, strict=True) if abs(a.scale - b.scale) > ROUNDING
    ]
    if pairs:
        hop, here = pairs[0]
        log.warning(
            "%d scales of the path to start from are others here, the first %g instead of %g "
            "(layer %d of %s); see merge.scale and merge.scale_range",
            len(pairs),
            here.scale,
            hop.scale,
            hop.layer,
            hop.source,
        )
    theirs = recipe.content["options"]["scale_target"]
    if theirs != target and any(hop.scale != 1 for hop in found):
        log.warning(
            "scales multiply the %s here, and the %s in the path to start from; "
            "see merge.scale_target",
            target,
            theirs,
        )
