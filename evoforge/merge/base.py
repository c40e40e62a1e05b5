"""What every merger shares: a space, recipes out of genomes, candidates out of recipes.

A merger owns its search space: groups of tensors (by granularity) x sources x parameters. It knows
weights; it does not know what a model is judged on, nor how the space is searched.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, ClassVar

import torch

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError, MergeError
from evoforge.merge._part import Part as Part  # of what a merger of tensors is written against
from evoforge.merge._path import PathCandidate
from evoforge.models.layout import Granularity, groups
from evoforge.models.pool import Pool
from evoforge.recipe import FORMAT, Recipe, digest
from evoforge.space import Genome, Param, Range, Space

# group -> source -> parameter -> number
Values = Mapping[str, Mapping[str, Mapping[str, float]]]
RESCALES = ("expected", "l1", "none")


class Merger(ABC):
    """Turns genomes into recipes, and recipes into candidates.

    Args:
        pool: the sources, led by the one whose settings and tokenizer candidates have.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @property
    def method(self) -> str:
        """The name of the method: its module's, and its option's in conf/merge."""
        return type(self).__module__.rpartition(".")[2]

    @property
    @abstractmethod
    def space(self) -> Space:
        """What is searched."""

    @abstractmethod
    def recipe(self, genome: Genome) -> Recipe:
        """Return the recipe of a genome: (dim,) float64 in [0, 1]."""

    @abstractmethod
    def build(self, recipe: Recipe) -> Candidate:
        """Return the candidate of a recipe; nothing is computed yet."""

    @property
    def phases(self) -> Sequence["Phase"]:
        """The searches that make up a run, in order: one, unless one goes on from another."""
        return (Phase("search", self),)

    def over(self, recipe: Recipe) -> "Merger":
        """Return the merger of a phase that goes on from the winner of the phase before it."""
        del recipe
        return self

    def baselines(self) -> dict[str, Recipe]:
        """Return the recipes that a search with this merger should be compared with, by name."""
        return {"start_point": self.recipe(self.space.init)}

    @property
    def num_models(self) -> int:
        """How many models are kept in memory to evaluate candidates."""
        return 1

    @property
    def facts(self) -> dict[str, Any]:
        """What reports should know of the space beside its parameters, as JSON values."""
        return {}


@dataclass(frozen=True)
class Phase:
    """One search of a run.

    Args:
        name: unique in the run.
        merger: what is searched.
        share: of the run's budget, in (0, 1].
        done: the share of the searches before it.
    """

    name: str
    merger: Merger
    share: float = 1.0
    done: float = 0.0


class TensorMerger(Merger):
    """A merger that makes every tensor from the same tensor of each source.

    Args:
        pool: the sources.
        ranges: for each parameter a number, or what to search between.
        options: the constructor's other options, which go into the recipe.
        granularity: `whole`, `block`, `layer` or `module`.
        block_size: layers to a group for `block`.

    Raises:
        ConfigError: an option makes no sense, or the method needs a base and there is none.
    """

    needs_base: ClassVar[bool] = True

    def __init__(
        self,
        pool: Pool,
        *,
        ranges: Mapping[str, Range],
        options: Mapping[str, Any],
        granularity: Granularity,
        block_size: int,
    ) -> None:
        if self.needs_base and pool.base is None:
            raise ConfigError(
                f"merge={self.method} takes task vectors and needs a base; give one source "
                "role: base in models.sources"
            )
        pool.check()
        super().__init__(pool)
        self.ranges = dict(ranges)
        self.options = {**options, "granularity": granularity, "block_size": block_size}
        self.groups = groups(pool.names, granularity, block_size)
        self._group_of = {name: key for key, names in self.groups.items() for name in names}

    @cached_property
    def space(self) -> Space:
        """One parameter for each group, source and searched range."""
        params: list[Param] = []
        for group in self.groups:
            for source in self.searched:
                for key, given in self.ranges.items():
                    if not given.fixed:
                        params.append(given.param(f"{group}.{source}.{key}"))
        return Space(params)

    @property
    def searched(self) -> tuple[str, ...]:
        """The names of the sources that have parameters."""
        return tuple(source.name for source in self.pool.sources)

    def recipe(self, genome: Genome) -> Recipe:
        """Return the recipe of a genome: (dim,) float64 in [0, 1]."""
        found = self.space.decode(genome)
        return self.recipe_of(
            {
                group: {
                    source: {
                        key: float(found.get(f"{group}.{source}.{key}", given.init))
                        for key, given in self.ranges.items()
                    }
                    for source in self.searched
                }
                for group in self.groups
            }
        )

    def recipe_of(self, values: Values) -> Recipe:
        """Return the recipe of given numbers: group -> source -> parameter.

        Sources that no group names take no part.
        """
        taking = {source for by_source in values.values() for source in by_source}
        base = self.pool.base if self.needs_base else None
        return Recipe(
            {
                "format": FORMAT,
                "method": self.method,
                "options": self.options,
                "base": None if base is None else {"name": base.name, "hash": base.hash},
                "sources": [
                    {"name": source.name, "hash": source.hash}
                    for source in self.pool.members
                    if source.name in taking or source.name in self._always
                ],
                "values": values,
                "dtype": self.pool.dtype_name,
            }
        )

    @property
    def _always(self) -> tuple[str, ...]:
        """Sources that take part without parameters of their own."""
        return ()

    def build(self, recipe: Recipe) -> "Merged":
        """Return the candidate of a recipe of this merger; nothing is computed yet.

        Raises:
            ConfigError: the recipe is another method's, or its sources are not in the pool.
        """
        content = recipe.content
        if content["method"] != self.method or content["options"] != self.options:
            raise ConfigError(f"the recipe {recipe.hash} is not one of this merger's")
        for source in [*content["sources"], *filter(None, [content["base"]])]:
            self.pool.check_hash(source, recipe.hash)
        return Merged(self, recipe)

    def part(self, recipe: Recipe, name: str) -> Part:
        """Return one tensor of every source of a recipe, in float32."""
        values = recipe.content["values"][self._group_of[name]]
        sources = [source["name"] for source in recipe.content["sources"]]
        base = recipe.content["base"]
        return Part(
            name=name,
            base=None if base is None else self.pool.tensors(base["name"])[name].float(),
            tensors=[self.pool.tensors(source)[name].float() for source in sources],
            sources=sources,
            values=[values.get(source, {}) for source in sources],
        )

    def group(self, name: str) -> str:
        """Return the group of a tensor."""
        return self._group_of[name]

    @abstractmethod
    def merge(self, part: Part) -> torch.Tensor:
        """Return one merged tensor: float32, new, the part's own tensors left as they are."""


class Merged:
    """The candidate of a tensor merger's recipe: each tensor is merged when it is asked for."""

    settings: Mapping[str, Any] = {}
    walk = None

    def __init__(self, merger: TensorMerger, recipe: Recipe) -> None:
        self._merger = merger
        self._recipe = recipe
        fixed = {key: value for key, value in recipe.content.items() if key != "values"}
        self._fixed = digest(fixed)
        self._values = {group: digest(values) for group, values in recipe.content["values"].items()}

    @property
    def identity(self) -> str:
        """The hash of the recipe."""
        return self._recipe.hash

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tensors."""
        return self._merger.pool.names

    def key(self, name: str) -> Hashable:
        """Return what fixes a tensor's values: the method, and the numbers of its group."""
        return (self._fixed, self._values[self._merger.group(name)])

    def tensor(self, name: str) -> torch.Tensor:
        """Return one merged tensor in float32.

        Raises:
            MergeError: it is not finite.
        """
        merged = self._merger.merge(self._merger.part(self._recipe, name))
        # The sum is not finite if an element is not, and quicker to look at.
        if not math.isfinite(float(merged.sum())) and not torch.isfinite(merged).all():
            raise MergeError(f"the merged {name} has values that are not finite")
        return merged


class Mergers:
    """Builds candidates from recipes alone, of whatever method they are.

    Args:
        pool: the sources that recipes name.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._known: dict[str, Merger] = {}

    def build(self, recipe: Recipe) -> Candidate:
        """Return the candidate of a recipe; nothing is computed yet.

        Raises:
            ConfigError: there is no such method, or the sources are not those of the recipe.
        """
        if "path" in recipe.content:
            return PathCandidate(recipe, self.pool, self.build)
        method, options = recipe.content["method"], recipe.content["options"]
        key = digest([method, options])
        if key not in self._known:
            self._known[key] = merger_class(method)(self.pool, **options)
        return self._known[key].build(recipe)


def merger_class(method: str) -> Callable[..., Merger]:
    """Return the class of a method: `dare_ties` is DareTies in evoforge.merge.dare_ties.

    Raises:
        ConfigError: there is no such method.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", method):
        raise ConfigError(f"{method!r} is not the name of a merge method")
    try:
        module = import_module(f"evoforge.merge.{method}")
    except ModuleNotFoundError:
        raise ConfigError(f"this evoforge has no merge method {method}") from None
    found: Callable[..., Merger] = getattr(module, method.title().replace("_", ""))
    return found


def check_rescale(rescale: str) -> None:
    """Raise ConfigError if there is no such way to rescale."""
    if rescale not in RESCALES:
        raise ConfigError(
            f"rescale must be one of {', '.join(RESCALES)}, got {rescale}; set merge.rescale"
        )
