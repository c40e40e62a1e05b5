"""Data-flow space: which layer follows which, with the weights left as they are."""

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import Any, Literal

from evoforge.candidate import SCALE_TARGETS, Candidate, ScaleTarget
from evoforge.errors import ConfigError
from evoforge.merge._facts import facts
from evoforge.merge._path import check_foldable
from evoforge.merge._placing import genes, placed, renamed, tell_scales
from evoforge.merge._scales import Scale, Slot, scales
from evoforge.merge.base import Merger, Mergers
from evoforge.models.pool import Pool
from evoforge.path import Hop, written
from evoforge.recipe import Recipe
from evoforge.space import Genome, Param, Range, Space

# What a merge is called that takes the first model's place in a path.
MERGED = "merged"
# A longer path costs more of every answer, and few of those that are drawn say anything.
ROOM = 1.5
# Multiples of the golden ratio, less their whole parts, are spread evenly wherever one stops.
GOLDEN = (5**0.5 - 1) / 2


class Dfs(Merger):
    """A path through the layers of two or more models.

    The layers of all models are laid out one model after the other, and this list `repeats` times.
    Each of these slots has a gene that says whether it is in the path (above one half), and scales
    multiply what goes from hop to hop. The path starts with the first model's first layer and ends
    with its last one, which are put there if the slots do not; embeddings, final norm, output
    embedding and tokenizer are the first model's. The search starts with the first model itself:
    its first pass is in, and all else out, neither of them for sure.

    A path of more than `max_hops` hops is cut down to them: the slots whose genes are lowest leave
    it; of equals those of the last pass, in an order that is always the same and favours no layer.
    A scale nearer to 0 than `floor` is moved to it, keeping its sign.

    Args:
        pool: the sources.
        merged: whether the first model is a merge, given by `over`, instead of a source.
        sources: the models in order, the first of which leads (the merge, if there is one, comes
            before them); None for all but the base.
        repeats: how often the list of layers is laid out.
        scale: `none`; `hop`, one for each slot; `pair`, the paper's W over pairs of layers;
            `low_rank`, W of rank 2; `network`, the paper's pi(i, j, t).
        scale_range: bounds and start of every scale.
        floor: the least magnitude of a scale, in (0, 1].
        scale_target: `stream`, scales multiply the whole input of a layer; `branch`, only what the
            layer before adds in its MLP.
        max_hops: the longest path: a number from 2 on; `auto`, one and a half times the first
            model's layers; None for any.
        init_first: the start of the genes of the first model's first pass, in [0, 1].
        init_rest: the start of the genes of all other slots; 0.5 in the paper's 13B models.

    Raises:
        ConfigError: an option makes no sense, or scales cannot be had in this architecture.
        PoolError: the models' layers cannot follow each other.

    Reference:
        Akiba 2025, Evolutionary Optimization of Model Merging Recipes (arXiv 2403.13187), section
        3.2 and the appendix on the 13B models, where the first model's first pass starts 2
        standard deviations of 1/6 above one half (`init_first: 0.83`) and all else at it.
    """

    def __init__(
        self,
        pool: Pool,
        merged: bool = False,
        *,
        sources: Sequence[str] | None = None,
        repeats: int = 2,
        scale: Scale = "hop",
        scale_range: Any = None,
        floor: float = 0.1,
        scale_target: ScaleTarget = "stream",
        max_hops: int | Literal["auto"] | None = "auto",
        init_first: float = 0.55,
        init_rest: float = 0.45,
    ) -> None:
        names = [source.name for source in pool.sources] if sources is None else list(sources)
        _check_sources(names, merged, pool)
        _check_numbers(repeats, scale_target, init_first=init_first, init_rest=init_rest)
        super().__init__(pool if merged else pool.led_by(names[0]))
        self.pool.check_tokenizer()
        self.pool.check_layers(list(dict.fromkeys([self.pool.reference.name, *names])))
        depths = [self.pool.member(name).num_layers for name in names]
        if merged:
            names.insert(0, MERGED)
            depths.insert(0, self.pool.reference.num_layers)
        self.depths = dict(zip(names, depths, strict=True))
        self.scale_target = scale_target
        lead = self.depths[self._first]
        self.max_hops = max(2, round(ROOM * lead)) if max_hops == "auto" else max_hops
        self._check_max_hops()
        self._starts = {True: init_first, False: init_rest}
        layers = [(name, layer) for name, depth in self.depths.items() for layer in range(depth)]
        self._layers = layers
        self._slots, self._end = _lay_out(layers, repeats, self._last)
        given = {"low": 0.5, "high": 1.5, "init": 1.0} if scale_range is None else scale_range
        self._scales = scales(
            scale,
            [*self._slots, self._end],
            [f"layer{layer}.{name}" for name, layer in layers],
            Range.parse("scale_range", given, low=-10, high=10),
            floor,
        )
        if scale != "none":
            check_foldable(self.pool)
        self._merged: Recipe | None = None

    @property
    def _first(self) -> str:
        """The name of the model that leads."""
        return next(iter(self.depths))

    @property
    def _last(self) -> int:
        """The number of the leading model's last layer, with which every path ends."""
        return self.depths[self._first] - 1

    def _check_max_hops(self) -> None:
        least = min(2, self.depths[self._first])
        if self.max_hops is not None and self.max_hops < least:
            raise ConfigError(
                f"max_hops must be at least {least} (the first and the last layer of "
                f"{self._first}), got {self.max_hops}; set merge.max_hops"
            )

    @cached_property
    def space(self) -> Space:
        """An indicator for each slot, then the scales."""
        lead = self.depths[self._first]
        indicators = [
            Param(f"{slot.name}.in", 0, 1, self._starts[number < lead], "binary")
            for number, slot in enumerate(self._slots)
        ]
        return Space([*indicators, *self._scales.params])

    @property
    def num_models(self) -> int:
        """Each model that paths can lead through."""
        return len(self.depths)

    @property
    def num_layers(self) -> int:
        """The hops of the longest path: every slot, and the end."""
        slots = len(self._slots) + 1
        return slots if self.max_hops is None else min(self.max_hops, slots)

    @property
    def merges(self) -> None:
        """Paths change no weights."""
        return

    @property
    def facts(self) -> dict[str, Any]:
        """The number of layers of each model."""
        return {"layers": dict(self.depths)}

    def over(self, recipe: Recipe) -> "Dfs":
        """Return this merger with a merge in the first model's place."""
        twin = copy(self)
        twin._merged = recipe
        return twin

    def recipe(self, genome: Genome) -> Recipe:
        """Return the recipe of a genome: (dim,) float64 in [0, 1]."""
        return self.recipe_of(self._hops(genome))

    def _hops(self, genome: Genome) -> list[Hop]:
        values = self.space.decode(genome)
        path = self._walked(genome[: len(self._slots)])
        found = self._scales.of(values, path)
        layers = (self._layers[slot.layer] for slot in path)
        return [Hop(*layer, scale) for layer, scale in zip(layers, found, strict=True)]

    def reads(self, recipe: Recipe) -> bool:
        """Whether a recipe has a path."""
        return "path" in recipe.content

    def encode(self, recipe: Recipe) -> Genome:
        """Return the genome of a path: each hop in the next slot that fits.

        Scales that this way of scaling cannot be told to give are left at their start.
        """
        path = renamed(recipe.content, [*self.depths], MERGED, self.pool)
        if self.max_hops is not None and len(path) > self.max_hops:
            raise ConfigError(
                f"its path has {len(path)} hops, here paths have {self.max_hops} at most; "
                "set merge.max_hops"
            )
        slots = placed(path, self._slots, self._layers, self._end)
        scales = self._scales.values(slots, [hop.scale for hop in path[1:]])
        genome = genes(self.space.params, slots, scales)
        tell_scales(path, self._hops(genome), recipe, self.scale_target)
        return genome

    def _walked(self, genes: Genome) -> list[Slot]:
        """Return the slots of the path: the ends where they must be, and no more than allowed."""
        # The first layer is in, whatever its gene says.
        chosen = [number for number, gene in enumerate(genes) if gene > 0.5 and number > 0]
        path = self._ended(chosen)
        surest = sorted(chosen, key=lambda number: self._leaving(number, float(genes[number])))
        while self.max_hops is not None and len(path) > self.max_hops:
            surest.pop()
            path = self._ended(sorted(surest))
        return path

    def _leaving(self, number: int, gene: float) -> tuple[float, int, float]:
        """Return where a slot stands among those that leave too long a path, the last one first."""
        # Optimizers that know switches ask for the same gene wherever a slot is in. Then the first
        # pass counts, in which every layer has its place, and no layer over another.
        return (-gene, number // len(self._layers), number * GOLDEN % 1)

    def _ended(self, chosen: Sequence[int]) -> list[Slot]:
        path = [self._slots[0], *(self._slots[number] for number in chosen)]
        # A model of one layer starts and ends with it.
        return path if path[-1].layer == self._end.layer else [*path, self._end]

    def recipe_of(self, path: Sequence[Hop]) -> Recipe:
        """Return the recipe of a path through the models of this merger.

        Raises:
            ConfigError: the first model is a merge that is not given yet.
        """
        used = {self._first, *(hop.source for hop in path)}
        refs = [self._ref(name) for name in self.depths if name in used]
        return path_recipe(path, refs, self.scale_target, self.pool)

    def _ref(self, name: str) -> dict[str, Any]:
        if name != MERGED:
            return {"name": name, "hash": self.pool.hash(name)}
        if self._merged is None:
            raise ConfigError("the first model of this path is a merge, which is not given yet")
        return {"name": name, "hash": self._merged.hash, "recipe": self._merged.content}

    def build(self, recipe: Recipe) -> Candidate:
        """Return the candidate of a recipe; nothing is computed yet."""
        return Mergers(self.pool).build(recipe)

    def baselines(self) -> dict[str, Recipe]:
        """Return where the search starts, and a stack of layers as people make them by hand.

        The stack is three quarters of the first model, from its first layer, and three quarters of
        the second, up to its last, then the first model's last layer.
        """
        first, second = list(self.depths)[:2]
        upper, lower = self.depths[first] * 3 // 4, self.depths[second] // 4
        stack = [Hop(first, layer) for layer in range(max(1, upper))]
        stack += [Hop(second, layer) for layer in range(lower, self.depths[second])]
        return {
            **super().baselines(),
            "frankenmerge": self.recipe_of([*stack, Hop(first, self._last)]),
        }


def whole(pool: Pool, name: str) -> Recipe:
    """Return the recipe of a source as it is: the path through all of its layers."""
    layers = range(pool.member(name).num_layers)
    refs = [{"name": name, "hash": pool.hash(name)}]
    return path_recipe([Hop(name, layer) for layer in layers], refs, "stream", pool)


def path_recipe(
    path: Sequence[Hop],
    refs: Sequence[dict[str, Any]],
    target: ScaleTarget,
    pool: Pool,
    tail: str | None = None,
) -> Recipe:
    """Return the recipe of a path.

    Args:
        path: its hops.
        refs: name and hash of each source that it leads through, the one that leads first.
        target: what scales multiply.
        pool: the sources.
        tail: the source of final norm and output embedding, if it is not the one that leads.
    """
    return Recipe(
        {
            **facts(pool),
            "method": "dfs",
            "options": {"scale_target": target},
            "base": None,
            "sources": list(refs),
            "path": written(path),
            **({} if tail is None else {"tail": tail}),
        }
    )


def _check_sources(names: Sequence[str], merged: bool, pool: Pool) -> None:
    known = [source.name for source in pool.members]
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(
            f"sources must name some of {', '.join(known)}, got {unknown[0]}; set merge.sources"
        )
    if len(names) < (1 if merged else 2):
        raise ConfigError(
            f"a path needs two models or more, got {', '.join(names) or 'none'} alone; add a "
            "source to models.sources, or to merge.sources"
        )
    if len(set(names)) != len(names):
        raise ConfigError(
            f"sources must name each model once, got {', '.join(names)}; more passes through its "
            "layers come with merge.repeats; set merge.sources"
        )
    if merged and MERGED in names:
        raise ConfigError(f"no source may be called {MERGED} here; rename it in models.sources")


def _check_numbers(repeats: int, scale_target: str, **starts: float) -> None:
    if repeats < 1:
        raise ConfigError(f"repeats must be at least 1, got {repeats}; set merge.repeats")
    if scale_target not in SCALE_TARGETS:
        raise ConfigError(
            f"scale_target must be one of {', '.join(SCALE_TARGETS)}, got {scale_target}; "
            "set merge.scale_target"
        )
    for name, gene in starts.items():
        if not 0 <= gene <= 1:
            raise ConfigError(f"{name} must be in [0, 1], got {gene}; set merge.{name}")


def _lay_out(layers: Sequence[tuple[str, int]], repeats: int, last: int) -> tuple[list[Slot], Slot]:
    """Return all slots in order, and the one that a path ends with."""
    count = len(layers) * repeats
    slots = [
        Slot(f"pass{n}_layer{layer}.{name}", number, (n * len(layers) + number) / count)
        for n in range(repeats)
        for number, (name, layer) in enumerate(layers)
    ]
    return slots, Slot(f"end.{layers[0][0]}", last, 1.0)
