"""Mergers that make every tensor from the same tensor of each source.

They have groups of tensors (by granularity) x sources x parameters to search.
"""

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch

from evoforge.errors import ConfigError, MergeError
from evoforge.merge._axes import Axes
from evoforge.merge._encode import SHARED as SHARED
from evoforge.merge._encode import Reader, bounded
from evoforge.merge._engine import Engine
from evoforge.merge._facts import check_facts, facts
from evoforge.merge._finite import not_finite
from evoforge.merge._merger import Merger
from evoforge.merge._part import Numbers, Part, Whole
from evoforge.models.combined import Combined, combined
from evoforge.models.layout import Granularity, groups, num_blocks
from evoforge.models.pool import Pool
from evoforge.recipe import Recipe, digest
from evoforge.space import DECIMALS, Genome, Range, Space

# group -> source -> parameter -> number
Values = Mapping[str, Mapping[str, Mapping[str, float]]]
CPU = torch.device("cpu")
# What `auto` leaves at most: 200 evaluations take CMA-ES as far with 162 genes as with 30 on the
# bundled models, and further than with 6.
MOST_GENES = 200
# What it tries, the finest first.
FINER: tuple[Granularity, ...] = ("module", "layer", "block")


class TensorMerger(Merger):
    """A merger that makes every tensor from the same tensor of each source.

    Args:
        pool: the sources.
        ranges: for each parameter of a source a number, or what to search between.
        shared: likewise for each parameter that belongs to no source.
        options: the constructor's other options, which go into the recipe.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, layers from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense, or the method needs a base and there is none.
    """

    needs_base: bool = True
    # Sources at least, the base not counted.
    least: ClassVar[int] = 1
    # Whether merging begins with the first source, which then has no parameters.
    from_first: ClassVar[bool] = False

    def __init__(
        self,
        pool: Pool,
        *,
        ranges: Mapping[str, Range],
        shared: Mapping[str, Range] | None = None,
        options: Mapping[str, Any],
        granularity: Granularity,
        block_size: int,
    ) -> None:
        if self.needs_base and pool.base is None:
            raise ConfigError(
                f"merge={self.method} takes task vectors and needs a base; give one source "
                "role: base in models.sources"
            )
        if len(pool.sources) < self.least:
            raise ConfigError(
                f"merge={self.method} takes {self.least} sources or more beside the base, got "
                f"{len(pool.sources)}; add one to models.sources"
            )
        pool.check()
        super().__init__(pool)
        self.ranges = dict(ranges)
        self.shared = dict(shared or {})
        self._axes = Axes(pool.names, self._fitting(granularity, block_size), block_size)
        self.groups = self._axes.groups
        # A profile's points are no part of a recipe: each layer has its own numbers there.
        layout = {"granularity": self._axes.granularity, "block_size": block_size}
        self.options = {**options, **layout}
        self._group_of = {name: key for key, names in self.groups.items() for name in names}
        tensors = pool.tensors(pool.reference.name)
        size = sum(tensors.shape(name).numel() for name in tensors)
        self._engine = Engine(self.merge, size, (self.method, digest(options)))

    def _fitting(self, granularity: Granularity, block_size: int) -> Granularity:
        """Return the granularity, for `auto` the finest that leaves few enough genes."""
        if granularity != "auto":
            return granularity
        each = sum(not r.fixed for ranges in self.columns.values() for r in ranges.values())
        names = self.pool.names
        fit = [f for f in FINER if f != "block" or block_size <= num_blocks(names)]
        few = (f for f in fit if each * len(groups(names, f, block_size)) <= MOST_GENES)
        return next(few, "whole")

    @cached_property
    def space(self) -> Space:
        """One parameter for each group, source and searched range."""
        return Space(
            [
                given.param(f"{axis}.{source}.{key}")
                for axis in self._axes.names
                for source, ranges in self.columns.items()
                for key, given in ranges.items()
                if not given.fixed
            ]
        )

    @property
    def searched(self) -> tuple[str, ...]:
        """The names of the sources that have parameters."""
        return tuple(source.name for source in self.pool.sources[int(self.from_first) :])

    @property
    def columns(self) -> dict[str, dict[str, Range]]:
        """The parameters of each source, and those that belong to none."""
        columns = dict.fromkeys(self.searched, self.ranges)
        return {**columns, SHARED: self.shared} if self.shared else columns

    def recipe(self, genome: Genome) -> Recipe:
        """Return the recipe of a genome: (dim,) float64 in [0, 1]."""
        found = self.space.decode(genome)

        def value(group: str, source: str, key: str, given: Range) -> float:
            points = self._axes.points(group)
            values = [float(found.get(f"{p}.{source}.{key}", given.init)) for p in points]
            if len(values) == 1:
                return values[0]
            mixed = sum(v * share for v, share in zip(values, points.values(), strict=True))
            return round(mixed, DECIMALS)

        return self.recipe_of(
            {
                group: {
                    source: {key: value(group, source, key, given) for key, given in ranges.items()}
                    for source, ranges in self.columns.items()
                }
                for group in self.groups
            }
        )

    def encode(self, recipe: Recipe) -> Genome:
        """Return the genome nearest to a recipe, of this method or one with the same numbers."""
        values = Reader(self).values(recipe)
        found = {}
        for source, ranges in self.columns.items():
            for key, given in ranges.items():
                column = self._axes.fit({group: values[group][source][key] for group in values})
                for axis, number in column.items():
                    found[f"{axis}.{source}.{key}"] = (number, given.low, given.high)
        numbers = bounded(found)
        return self.space.encode({name: numbers[name] for name in self.space.names})

    def recipe_of(self, values: Values) -> Recipe:
        """Return the recipe of given numbers: group -> source -> parameter.

        Sources that no group names take no part. Parameters that belong to no source stand under
        `*`; where they are not given, they are the middle or start of their range.
        """
        taking = {source for by_source in values.values() for source in by_source}
        base = self.pool.base if self.needs_base else None
        first = self.pool.sources[0]
        if self.shared:
            usual = {key: given.init for key, given in self.shared.items()}
            values = {group: {SHARED: usual, **columns} for group, columns in values.items()}
        return Recipe(
            {
                **facts(self.pool),
                "method": self.method,
                "options": self.options,
                "base": None if base is None else {"name": base.name, "hash": base.hash},
                "sources": [
                    {"name": source.name, "hash": source.hash}
                    for source in self.pool.members
                    if source.name in taking or (self.from_first and source is first)
                ],
                "values": values,
            }
        )

    def build(self, recipe: Recipe) -> "Merged":
        """Return the candidate of a recipe of this merger; nothing is computed yet.

        Raises:
            ConfigError: the recipe is another method's, or its sources are not in the pool.
        """
        content = recipe.content
        if content["method"] != self.method or content["options"] != self.options:
            raise ConfigError(f"the recipe {recipe.hash} is not one of this merger's")
        check_facts(recipe, self.pool)
        for source in [*content["sources"], *filter(None, [content["base"]])]:
            self.pool.check_hash(source, recipe.hash)
        return Merged(self, recipe)

    def whole(self, recipe: Recipe, name: str, device: torch.device = CPU) -> Whole:
        """Return one tensor of every source of a recipe, as it is stored, on a device."""
        values = recipe.content["values"][self._group_of[name]]
        sources = [source["name"] for source in recipe.content["sources"]]
        base = recipe.content["base"]
        return Whole(
            name=name,
            base=None if base is None else self.pool.tensor(base["name"], name, device),
            tensors=[self.pool.tensor(source, name, device) for source in sources],
            sources=sources,
            values=[values.get(source, {}) for source in sources],
            shared=values.get(SHARED, {}),
        )

    def group(self, name: str) -> str:
        """Return the group of a tensor."""
        return self._group_of[name]

    def write(self, whole: Whole, out: torch.Tensor) -> None:
        """Merge one tensor into `out`: of its shape, any floating type, any device.

        Raises:
            MergeError: it is not finite there.
        """
        with torch.no_grad():
            if not self._engine.run(whole, self.numbers(whole), out):
                raise not_finite(whole.name, out)

    def numbers(self, whole: Whole) -> Numbers:
        """Return what the elements of a tensor are merged with, found from the whole of it.

        Here its parameters: (sources,) float32 for those of sources, () for the shared ones.
        Methods that need more add to them; see `Part` for what they may be.
        """
        found = {key: torch.tensor(whole.column(key)) for key in self.ranges}
        return found | {key: torch.tensor(number) for key, number in whole.shared.items()}

    def factors_of_changes(self, whole: Whole) -> Sequence[float] | None:
        """Return w_m where the merge is base + sum_m w_m (source_m - base), from its numbers alone.

        None for methods that do anything else, which is what this one says.
        """
        del whole
        return None

    @abstractmethod
    def merge(self, part: Part) -> torch.Tensor:
        """Return the merged elements of a part: float32, new.

        A function of the part alone, made of operations that treat each element, or each row, on
        its own: it is compiled, and called with parts of any size.
        """


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
    def names(self) -> Sequence[str]:
        """The names of all tensors."""
        return self._merger.pool.names

    def adapter(self) -> Combined | None:
        """Return the merge as an adapter; None if it is none.

        It is one if all sources are adapters of one model, which is the base if there is one, and
        the method adds their changes up.
        """
        content, pool = self._recipe.content, self._merger.pool
        if pool.vocabulary is not None:  # it has other embeddings than the model it would adapt
            return None
        sources = [pool.member(source["name"]) for source in content["sources"]]
        models = {source.changed.hash for source in sources if source.changed is not None}
        others = {content["base"]["hash"]} if content["base"] is not None else set()
        if any(source.adapter is None for source in sources) or len(models | others) != 1:
            return None
        factors = {group: self._factors(group) for group in content["values"]}
        if any(numbers is None for numbers in factors.values()):
            return None
        try:
            return combined(sources, lambda name: factors[self._merger.group(name)] or ())
        except MergeError:  # matrices side by side cannot do all that adapters can
            return None

    def _factors(self, group: str) -> Sequence[float] | None:
        name = self._merger.groups[group][0]
        return self._merger.factors_of_changes(self._merger.whole(self._recipe, name))

    def key(self, name: str) -> Hashable:
        """Return what fixes a tensor's values: the method, and the numbers of its group."""
        return (self._fixed, self._values[self._merger.group(name)])

    def shape(self, name: str) -> torch.Size:
        """Return the shape of a tensor."""
        first = self._recipe.content["sources"][0]["name"]
        return self._merger.pool.tensors(first).shape(name)

    def write(self, name: str, out: torch.Tensor) -> None:
        """Merge one tensor into `out`: of its shape, any floating type, any device.

        Raises:
            MergeError: it is not finite.
        """
        self._merger.write(self._merger.whole(self._recipe, name, out.device), out)

    def tensor(self, name: str) -> torch.Tensor:
        """Return one merged tensor in float32.

        Raises:
            MergeError: it is not finite.
        """
        out = torch.empty(self.shape(name))
        self.write(name, out)
        return out
