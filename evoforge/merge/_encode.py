"""The way back: a recipe's numbers as those of another merger, group by group and source by source.

Where two methods say one thing in other words, the numbers keep what they say: weights that one
method divides by their sum become shares for one that does not, and the steps of slerp become
weights. Knows the layout of recipes; does not know genomes.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evoforge.errors import ConfigError
from evoforge.models.layout import groups
from evoforge.models.source import Source
from evoforge.recipe import Recipe
from evoforge.space import Range

if TYPE_CHECKING:
    from evoforge.merge._tensors import TensorMerger, Values

log = logging.getLogger(__name__)

# source -> parameter -> number
Columns = dict[str, dict[str, float]]
# Where the parameters of a group stand that belong to no source.
SHARED = "*"
# What a parameter is where a method does without it: all is kept, and added as it is.
NEUTRAL = {"density": 1.0, "lambda_": 1.0, "gamma": 0.0, "epsilon": 0.0, "boost": 0.0}
# Methods that always divide weights by their sum.
DIVIDING = ("karcher", "multislerp", "nuslerp")
# Methods whose numbers mean nothing to others, although they are called alike.
APART = ("nearswap", "passthrough")
# Options that say where numbers lie, which is seen to.
LAYOUT = ("granularity", "block_size", "source")
# Sums of weights below this are not divided by.
NOTHING = 1e-8
# A difference that nobody needs to be told.
ROUNDING = 1e-6
# Names in a warning.
SHOWN = 3


def inner(recipe: Recipe) -> Recipe | None:
    """Return the merge that a path leads through; None if it leads through none."""
    found = [ref["recipe"] for ref in recipe.content["sources"] if "recipe" in ref]
    return Recipe(found[0]) if found else None


def matched(refs: Sequence[Mapping[str, Any]], sources: Sequence[Source]) -> dict[str, str]:
    """Return what the sources of a recipe are called here: by their weights, else by their names.

    Args:
        refs: the recipe's sources, name and hash.
        sources: which of the pool's can take part.

    Raises:
        ConfigError: one of them is none of these.
    """
    found: dict[str, str] = {}
    for ref in refs:
        alike = [s.name for s in sources if s.hash == ref["hash"] and s.name not in found.values()]
        named = [s.name for s in sources if s.name == ref["name"]]
        names = [name for name in named if name in alike] or alike or named
        if not names:
            raise ConfigError(
                f"the recipe takes {ref['name']}, which is none of {_listed(sources)} here; "
                "add it to models.sources"
            )
        if names[0] not in alike:
            log.warning("%s has other weights here than in the recipe to start from", names[0])
        found[ref["name"]] = names[0]
    return found


def _listed(sources: Sequence[Source]) -> str:
    return ", ".join(source.name for source in sources)


def bounded(numbers: Mapping[str, tuple[float, float, float]]) -> dict[str, float]:
    """Return numbers within their bounds; one warning names those that lay outside.

    Args:
        numbers: name -> number, low, high.
    """
    found, moved = {}, []
    for name, (number, low, high) in numbers.items():
        found[name] = min(max(number, low), high)
        if abs(found[name] - number) > ROUNDING:
            moved.append(f"{name} is {number:g} there and {found[name]:g} here")
    if moved:
        more = f"; and {len(moved) - SHOWN} more" if len(moved) > SHOWN else ""
        log.warning(
            "the search cannot hold all numbers of the recipe it starts from: %s%s; "
            "widen the ranges in merge",
            "; ".join(moved[:SHOWN]),
            more,
        )
    return found


class Reader:
    """Reads recipes as the numbers of one merger.

    Args:
        merger: whose numbers they become.
    """

    def __init__(self, merger: "TensorMerger") -> None:
        self._merger = merger
        self._sources = merger.pool.sources
        self._names = [source.name for source in self._sources]

    def values(self, recipe: Recipe) -> "Values":
        """Return a number for every parameter of every group.

        A group takes the numbers of the group that held its tensors, of several their mean, in
        which each element counts alike. A source that the recipe does not have gets no weight.

        Raises:
            ConfigError: the recipe is a path, its method says nothing to this one, or a source of
                it is not here.
        """
        content = recipe.content
        if "path" in content:
            raise ConfigError("it is a path through layers, and this search is over weights")
        self._check_base(content)
        self._tell_options(content)
        order = [*matched(content["sources"], self._sources).values()]
        told = {group: self._told(c, content, order) for group, c in content["values"].items()}
        self._check_said(content, [*told.values()])
        return {
            group: self._filled(_mean([(told[other], share) for other, share in parts.items()]))
            for group, parts in self._parts(content).items()
        }

    def _check_base(self, content: Mapping[str, Any]) -> None:
        theirs, mine = content["base"], self._merger.pool.base
        if theirs is None or mine is None or not self._merger.needs_base:
            return
        if theirs["hash"] != mine.hash and theirs["name"] != mine.name:
            raise ConfigError(
                f"its task vectors are taken from {theirs['name']}, here from {mine.name}; "
                "set models.sources"
            )

    def _tell_options(self, content: Mapping[str, Any]) -> None:
        """Warn of options of the same method that make another model of the same numbers."""
        theirs, mine = content["options"], self._merger.options
        keys = [k for k in mine if k not in LAYOUT and theirs.get(k, mine[k]) != mine[k]]
        if keys and content["method"] == self._merger.method:
            said = ", ".join(f"{k}={theirs[k]}" for k in keys)
            here = ", ".join(str(mine[k]) for k in keys)
            log.warning(
                "%s has %s in the recipe to start from, here %s", content["method"], said, here
            )

    def _told(
        self,
        columns: Mapping[str, Mapping[str, float]],
        content: Mapping[str, Any],
        order: list[str],
    ) -> Columns:
        """Return the numbers of a recipe's group in this merger's words.

        Args:
            columns: source -> parameter -> number.
            content: the recipe's.
            order: what its sources are called here.
        """
        theirs, mine = content["method"], self._merger.method
        names = dict(zip((ref["name"] for ref in content["sources"]), order, strict=True))
        found = {names.get(source, source): dict(c) for source, c in columns.items()}
        if theirs == mine == "passthrough":
            taken = order[round(found[SHARED]["source"])]
            found[SHARED]["source"] = float(self._names.index(taken))
        if theirs != mine or (self._merger.from_first and order != self._names[: len(order)]):
            if theirs in APART or mine in APART:
                raise ConfigError(
                    f"it is a merge by {theirs} from {order[0]}, whose numbers say nothing to "
                    f"{mine} from {self._names[0]}"
                )
            found = self._translated(found, theirs, order)
        if _divides(theirs, content["options"]) and not _divides(mine, self._merger.options):
            found = _divided(found)
        # A method that weighs its sources by itself begins with all alike.
        weighs = self._merger.needs_base and not self._merger.ranges
        return self._summed(found) if weighs else found

    def _translated(self, columns: Columns, theirs: str, order: list[str]) -> Columns:
        """Return steps from source to source as weights, and weights as such steps."""
        if theirs == "slerp":
            columns = _weights(columns, order)
        if self._merger.method == "slerp":
            columns = self._steps(columns)
        return columns

    def _steps(self, columns: Columns) -> Columns:
        """Return the steps of slerp that weigh sources so: each has its share of those so far."""
        found, summed = columns, 0.0
        for name in self._names:
            weight = columns.get(name, {}).get("weight", 0.0)
            summed += weight
            step = weight / summed if abs(summed) >= NOTHING else 0.0
            found = {**found, name: {**found.get(name, {}), "t": step}}
        return found

    def _check_said(self, content: Mapping[str, Any], told: Sequence[Columns]) -> None:
        """Refuse a recipe that has no number that this merger lives by."""
        merger = self._merger
        of_sources = [c for columns in told for name, c in columns.items() if name != SHARED]
        own = {key for column in of_sources for key in column}
        shared = {key for columns in told for key in columns.get(SHARED, {})}
        if merger.ranges:
            known = bool(own & set(merger.ranges))
        else:
            known = not own and bool(shared & set(merger.shared))
        if not known:
            raise ConfigError(
                f"it is a merge by {content['method']}, whose numbers "
                f"({', '.join(sorted(own | shared)) or 'none'}) say nothing to {merger.method}"
            )

    def _summed(self, columns: Columns) -> Columns:
        """Return weights that are all the same as a factor on the mean; others as they are."""
        weights = [columns.get(name, {}).get("weight", 0.0) for name in self._names]
        if max(weights) - min(weights) > ROUNDING or not weights[0]:
            return columns
        shared = columns.get(SHARED, {})
        return {SHARED: {**shared, "lambda_": shared.get("lambda_", 1.0) * sum(weights)}}

    def _parts(self, content: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        """Return for each group the recipe's groups that its tensors were in, with their shares."""
        pool, options = self._merger.pool, content["options"]
        try:
            theirs = groups(pool.names, options["granularity"], options["block_size"])
        except ConfigError:
            theirs = {}
        if set(theirs) != set(content["values"]):
            raise ConfigError("it is a merge of models of another shape")
        where = {name: group for group, names in theirs.items() for name in names}
        tensors = pool.tensors(pool.reference.name)
        found: dict[str, dict[str, float]] = {}
        for group, names in self._merger.groups.items():
            sizes: dict[str, int] = {}
            for name in names:
                size = tensors.shape(name).numel()
                sizes[where[name]] = sizes.get(where[name], 0) + size
            found[group] = {other: n / sum(sizes.values()) for other, n in sizes.items()}
        return found

    def _filled(self, columns: Columns) -> Columns:
        """Return a number for each parameter of this merger."""
        return {
            source: {
                key: columns.get(source, {}).get(key, self._usual(key, given, source in columns))
                for key, given in ranges.items()
            }
            for source, ranges in self._merger.columns.items()
        }

    @staticmethod
    def _usual(key: str, given: Range, takes_part: bool) -> float:
        """Return what a parameter is that a recipe does not have."""
        if not takes_part and key in ("weight", "t"):
            return 0.0
        return given.init if given.fixed else NEUTRAL.get(key, given.init)


def _divides(method: str, options: Mapping[str, Any]) -> bool:
    return method in DIVIDING or bool(options.get("normalize"))


def _divided(columns: Columns) -> Columns:
    """Return weights divided by their sum."""
    summed = sum(column.get("weight", 0.0) for column in columns.values())
    if abs(summed) < NOTHING:
        return columns
    return {
        name: {key: n / summed if key == "weight" else n for key, n in column.items()}
        for name, column in columns.items()
    }


def _weights(columns: Columns, order: Sequence[str]) -> Columns:
    """Return the weights that steps from source to source come to; they sum to 1."""
    found: dict[str, float] = {}
    for number, name in enumerate(order):
        step = columns[name]["t"] if number else 1.0
        found = {other: weight * (1 - step) for other, weight in found.items()} | {name: step}
    return {name: {"weight": weight} for name, weight in found.items()}


def _mean(parts: Sequence[tuple[Columns, float]]) -> Columns:
    """Return the mean of numbers with shares; of what cannot be averaged, that of most."""
    if len(parts) == 1:
        return parts[0][0]
    first, _ = max(parts, key=lambda part: part[1])
    return {
        source: {
            key: number
            if key == "source"
            else sum(columns[source][key] * share for columns, share in parts)
            for key, number in column.items()
        }
        for source, column in first.items()
    }
