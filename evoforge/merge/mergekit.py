"""A mergekit file as the start of a search: its method, its models, and its numbers."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError
from evoforge.merge._encode import Reader, bounded
from evoforge.merge._mergekit import Start, start
from evoforge.merge._mergekit_path import FromPath, fixed_path
from evoforge.merge.base import Merger, Mergers
from evoforge.mergekit_yaml.document import Document, read
from evoforge.mergekit_yaml.methods import Key
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.recipe import Recipe
from evoforge.space import DECIMALS, Genome, Param, Range, Space

# What is searched if the user does not say, as far as the method has it; else its factors.
USUAL = ("weight", "density", "t")
FACTORS = ("scale", "lambda_")


class Mergekit(Merger):
    """A search around the merge that a mergekit file describes.

    The search starts with the file's merge itself, which is scored as `mergekit_recipe`. A file
    that puts layers one after the other (passthrough with slices) is a path: then the search goes
    over paths, and of the options only `file` counts.

    Args:
        pool: the models of the file, as models=mergekit opens them.
        file: the mergekit file.
        search: the parameters to search, such as `[weight, density]`; None for weight, density and
            t, or the factor on the whole where the method has none of them.
        reach: how far to search below and above each number of the file; for parameters that are
            small (gamma, epsilon, the t of nearswap) the share of the number itself.
        ranges: parameter -> `{low, high, kind}` to search all its numbers between, instead.
        granularity: `whole`, `block`, `layer`, `module` or `tensor`; None for the coarsest that
            holds the file's numbers.
        block_size: layers to a group for `block`.
        seed: of the masks of DARE and DELLA.

    Raises:
        ConfigError: the file cannot be used, or an option makes no sense.
        PoolError: the models do not fit each other.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        file: str | None = None,
        search: Sequence[str] | None = None,
        reach: float = 0.5,
        ranges: Mapping[str, Any] | None = None,
        granularity: Granularity | None = None,
        block_size: int = 4,
        seed: int = 0,
    ) -> None:
        if file is None:
            raise ConfigError("merge=mergekit starts from a mergekit file; set merge.file")
        if not 0 < reach <= 10:
            raise ConfigError(f"reach must be in (0, 10], got {reach}; set merge.reach")
        if granularity in ("auto", "profile"):
            raise ConfigError(
                f"granularity must hold the file's numbers as they are, got {granularity}; "
                "set merge.granularity=null"
            )
        document = read(file)
        self._inner: Merger
        if document.is_path:
            self._fixed, led = fixed_path(document, pool)
            self._inner = FromPath(led, self._fixed)
        else:
            begin = start(document, pool, seed=seed, granularity=granularity, block_size=block_size)
            self._fixed = begin.merger.recipe_of(begin.values)
            keys = {**document.method.columns, **document.method.shared}
            self._inner = Around(begin, keys, search=search, reach=reach, ranges=ranges or {})
        super().__init__(self._inner.pool)

    @property
    def space(self) -> Space:
        """What is searched, around the file's numbers."""
        return self._inner.space

    def recipe(self, genome: Genome) -> Recipe:
        """Return the recipe of a genome: (dim,) float64 in [0, 1]."""
        return self._inner.recipe(genome)

    def encode(self, recipe: Recipe) -> Genome:
        """Return the genome of a recipe around the file's numbers."""
        return self._inner.encode(recipe)

    def reads(self, recipe: Recipe) -> bool:
        """Whether a recipe is of the kind that the file is."""
        return self._inner.reads(recipe)

    def build(self, recipe: Recipe) -> Candidate:
        """Return the candidate of a recipe; nothing is computed yet."""
        return self._inner.build(recipe)

    def baselines(self) -> dict[str, Recipe]:
        """Return where the search starts, and the file's own merge."""
        return {**self._inner.baselines(), "mergekit_recipe": self._fixed}

    @property
    def num_models(self) -> int:
        """How many models are kept in memory to evaluate candidates."""
        return self._inner.num_models

    @property
    def facts(self) -> dict[str, Any]:
        """What the file's kind of merge says of its space."""
        return self._inner.facts


class Around(Merger):
    """A search around given numbers of a merger.

    A number that six decimals do not hold stays as it is, so that the search starts with it.

    Args:
        begin: the merger and its numbers.
        keys: what is known of each parameter.
        search: see `Mergekit`.
        reach: see `Mergekit`.
        ranges: see `Mergekit`.

    Raises:
        ConfigError: an option makes no sense.
    """

    def __init__(
        self,
        begin: Start,
        keys: Mapping[str, Key],
        *,
        search: Sequence[str] | None,
        reach: float,
        ranges: Mapping[str, Any],
    ) -> None:
        super().__init__(begin.merger.pool)
        self._begin = begin
        self._keys = keys
        self._reach = reach
        found = {
            key: None
            for columns in begin.values.values()
            for column in columns.values()
            for key in column
            if key != "source"
        }
        for option, given, kind in (("search", search, Sequence), ("ranges", ranges, Mapping)):
            listed = isinstance(given, kind) and not isinstance(given, str)
            if given is not None and not (listed and all(isinstance(key, str) for key in given)):
                raise ConfigError(
                    f"{option} must name parameters, got {given!r}; set merge.{option}"
                )
        usual = [key for key in USUAL if key in found] or [key for key in FACTORS if key in found]
        self._searched = tuple(usual if search is None else search)
        for option, given in (("search", self._searched), ("ranges", tuple(ranges))):
            if unknown := [key for key in given if key not in found]:
                raise ConfigError(
                    f"{option} must name some of {', '.join(found)}, got {unknown[0]}; "
                    f"set merge.{option}"
                )
        self._ranges = {
            key: Range.parse(f"ranges.{key}", given, low=-1e9, high=1e9)
            for key, given in ranges.items()
        }

    @cached_property
    def space(self) -> Space:
        """One parameter for each searched number of the file."""
        found, fine = [], []
        for group, columns in self._begin.values.items():
            for source, column in columns.items():
                for key, number in column.items():
                    if key not in self._searched:
                        continue
                    name = f"{group}.{source}.{key}"
                    param = self._param(name, key, number)
                    found += [param] if param else []
                    fine += [] if _decimal(number) else [f"{number:g} ({name})"]
        if fine and not found:
            raise ConfigError(
                f"numbers must have {DECIMALS} decimals at most to be searched, got {fine[0]}; set "
                "merge.search, or merge the file as it is with python -m evoforge.mergekit"
            )
        return Space(found)

    def _param(self, name: str, key: str, number: float) -> Param | None:
        """Return a parameter around a number, or None if there is nothing around it."""
        given = self._ranges.get(key)
        if given is not None:
            if not given.low <= number <= given.high:
                raise ConfigError(
                    f"ranges.{key} must hold the file's numbers, got [{given.low:g}, "
                    f"{given.high:g}] for {number:g} ({name}); set merge.ranges.{key}"
                )
            if given.kind == "integer" and number % 1:
                raise ConfigError(
                    f"the file's numbers must be whole for ranges.{key} of kind integer, got "
                    f"{number:g} ({name}); set merge.ranges.{key}.kind"
                )
            if not _decimal(number):
                raise ConfigError(
                    f"the file's numbers must have {DECIMALS} decimals at most for ranges.{key}, "
                    f"got {number:g} ({name}); set merge.ranges"
                )
            low, high, kind = given.low, given.high, given.kind
        elif not _decimal(number):
            return None
        else:
            known = self._keys.get(key, Key("t", None, low=0.0, high=1.0))
            reach = self._reach * (abs(number) if known.relative else 1.0)
            low = round(min(number, max(known.low, number - reach)), DECIMALS)
            high = round(max(number, min(known.high, number + reach)), DECIMALS)
            kind = "linear"
        return Param(name, low, high, number, kind) if low < high else None

    def recipe(self, genome: Genome) -> Recipe:
        """Return the recipe of a genome: (dim,) float64 in [0, 1]."""
        found = self.space.decode(genome)
        return self._begin.merger.recipe_of(
            {
                group: {
                    source: {
                        key: float(found.get(f"{group}.{source}.{key}", number))
                        for key, number in column.items()
                    }
                    for source, column in columns.items()
                }
                for group, columns in self._begin.values.items()
            }
        )

    def encode(self, recipe: Recipe) -> Genome:
        """Return the genome of a recipe around the file's numbers."""
        values = Reader(self._begin.merger).values(recipe)
        params = {param.name: param for param in self.space.params}
        found = {}
        for group, columns in self._begin.values.items():
            for source, column in columns.items():
                for key, number in column.items():
                    name = f"{group}.{source}.{key}"
                    low, high = number, number
                    if name in params:
                        low, high = params[name].low, params[name].high
                    found[name] = (values[group][source][key], low, high)
        return self.space.encode(bounded(found))

    def build(self, recipe: Recipe) -> Candidate:
        """Return the candidate of a recipe; nothing is computed yet."""
        return self._begin.merger.build(recipe)


def _decimal(number: float) -> bool:
    """Whether a space holds a number as it is."""
    return round(number, DECIMALS) == number


def fixed(document: Document, pool: Pool, seed: int = 0) -> tuple[Recipe, Candidate, Pool]:
    """Return the merge that a file describes: recipe, candidate, and the pool it is made from.

    Args:
        document: what the file says.
        pool: the models.
        seed: of the masks of DARE and DELLA.

    Raises:
        ConfigError: the file asks for something that evoforge does not make.
        PoolError: the models do not fit each other.
    """
    if document.is_path:
        recipe, pool = fixed_path(document, pool)
    else:
        begin = start(document, pool, seed=seed)
        recipe = begin.merger.recipe_of(begin.values)
    return recipe, Mergers(pool).build(recipe), pool
