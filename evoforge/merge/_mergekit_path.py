"""A mergekit file that puts layers one after the other, as a path, and the search around it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise

from evoforge.candidate import SCALE_TARGETS, ScaleTarget, Walk
from evoforge.errors import ConfigError
from evoforge.merge._path import ATTENTION_OUT, MLP_OUT
from evoforge.merge._placing import IN, OUT
from evoforge.merge.base import Mergers
from evoforge.merge.dfs import Dfs, path_recipe
from evoforge.mergekit_yaml.document import Document, Reference
from evoforge.models.layout import block_tensors, in_block, place
from evoforge.models.mergekit import members
from evoforge.models.pool import Pool
from evoforge.path import Hop, hops
from evoforge.recipe import Recipe
from evoforge.space import DECIMALS, Space

# How much a scale that was rounded may differ.
ROUNDING = 1e-4


class Stack:
    """The layers of a file's slices, one after the other.

    Args:
        document: a passthrough merge of slices.
        names: what the pool calls its models.

    Attributes:
        steps: source, layer, number of the slice and place along it, for each hop.
    """

    def __init__(self, document: Document, names: Mapping[Reference, str]) -> None:
        self._document = document
        self._models = [part.inputs[0].model for part in document.slices]
        self.steps: list[tuple[str, int, int, float]] = []
        for number, part in enumerate(document.slices):
            first, after = part.inputs[0].layers or (0, 0)
            last = after - first - 1
            self.steps += [
                (names[self._models[number]], first + i, number, i / last if last else 1.0)
                for i in range(last + 1)
            ]

    def factor(self, name: str) -> float:
        """Return what a tensor of the stack is multiplied by, by its name there."""
        where = place(name)
        if where.block is None:
            number = 0 if where.module == "embedding" else len(self._models) - 1
            return self._scale(name, number, 0.0)
        _, layer, number, along = self.steps[where.block]
        return self._scale(in_block(name, layer), number, along)

    def _scale(self, name: str, number: int, along: float) -> float:
        found = self._document.number("scale", name, number, along, self._models[number])
        return 1.0 if found is None else found

    def path(self, names: Sequence[str], target: ScaleTarget) -> list[Hop]:
        """Return the hops, with the scales that the factors would be folded from."""
        added = [self._added(names, hop, target) for hop in range(len(self.steps))]
        start = next((self.factor(n) for n in names if place(n).module == "embedding"), 1.0)
        if target == "stream":
            # Each factor is one over the product of the scales up to there.
            scales = [a / b if b else 0.0 for a, b in pairwise(added)]
        else:
            scales = added[:-1]
        return [
            Hop(source, layer, round(scale, DECIMALS))
            for (source, layer, *_), scale in zip(self.steps, [start, *scales], strict=True)
        ]

    def _added(self, names: Sequence[str], hop: int, target: ScaleTarget) -> float:
        """Return the factor on what a hop adds to the stream, or what its MLP does."""
        part = ATTENTION_OUT if target == "stream" else MLP_OUT
        inside = [n for n in block_tensors(names, 0) if n.startswith(part)]
        return self.factor(in_block(block_tensors(names, 0)[inside[0]], hop)) if inside else 1.0


def fixed_path(document: Document, pool: Pool) -> tuple[Recipe, Pool]:
    """Return the recipe of a file's path, and the pool led by its first model.

    Raises:
        ConfigError: the file's scales are none of a path, or final norm and output embedding of its
            last model do not fit the first.
    """
    names = members(document, pool)
    stack = Stack(document, names)
    sources = list(dict.fromkeys(source for source, *_ in stack.steps))
    last = stack.steps[-1][0]
    tail = None if last == sources[0] else last
    led = pool.led_by(sources[0])
    led.check_tokenizer()
    led.check_layers(sources)
    refs = [{"name": name, "hash": led.hash(name)} for name in sources]
    for target in SCALE_TARGETS:
        path = stack.path(led.names, target)
        if not all(math.isfinite(hop.scale) and hop.scale for hop in path):
            continue
        recipe = path_recipe(path, refs, target, led, tail)
        candidate = Mergers(led).build(recipe)
        tied = "tie_word_embeddings" in candidate.settings
        if (
            candidate.walk is not None
            and not tied
            and _folds(candidate.walk, stack, candidate.names)
        ):
            return recipe, led
    raise ConfigError(
        "evoforge reads scales of a path that are folded as it writes them: one for each hop, in "
        "o_proj, down_proj and norms; leave scale out of the file"
    )


def _folds(walk: Walk, stack: Stack, names: Sequence[str]) -> bool:
    return all(math.isclose(walk.factor(n), stack.factor(n), rel_tol=ROUNDING) for n in names)


class FromPath(Dfs):
    """A search over paths that starts with a given one.

    Args:
        pool: the sources, led by the path's first model.
        recipe: of the path.

    Raises:
        ConfigError: the path is none that can be searched: it must begin with the first layer of a
            model, unscaled, and end with the last layer of one.
    """

    def __init__(self, pool: Pool, recipe: Recipe) -> None:
        path = hops(recipe.content)
        used = list(dict.fromkeys(hop.source for hop in path))
        names = [*used, *(s.name for s in pool.sources if s.name not in used)]
        if len(names) < 2:
            raise ConfigError(
                f"a search over paths needs two models or more, got {names[0]} alone; merge the "
                "file as it is with python -m evoforge.mergekit"
            )
        first = Hop(used[0], 0)
        last = path[-1].source
        if path[0] != first or path[-1].layer != pool.member(last).num_layers - 1:
            raise ConfigError(
                "a search over paths needs one that begins with the first layer of a model, "
                "unscaled, and ends with the last layer of one; merge the file as it is with "
                "python -m evoforge.mergekit"
            )
        places, count = _places(path, {name: pool.member(name).num_layers for name in names})
        scales = [hop.scale for hop in path]
        super().__init__(
            pool,
            sources=names,
            repeats=places[-1] // count + 1,
            scale="hop" if set(scales) != {1.0} else "none",
            scale_range={"low": min(0.5, *scales), "high": max(1.5, *scales), "init": 1.0},
            floor=min(0.1, *map(abs, scales)),
            scale_target=recipe.content["options"]["scale_target"],
            max_hops=None,  # the file's own path must have room
            init_rest=OUT,
        )
        self._start = {self._slots[n].name: hop for n, hop in zip(places, path, strict=True)}
        self._tail: str | None = recipe.content.get("tail")
        # Every path ends as the file's does.
        self._end = replace(self._end, layer=self._layers.index((last, path[-1].layer)))

    @cached_property
    def space(self) -> Space:
        """An indicator for each slot, then the scales, starting with the path."""
        found = []
        for param in super().space.params:
            slot, _, kind = param.name.rpartition(".")
            hop = self._start.get(slot)
            if kind == "in":
                found.append(replace(param, init=IN if hop else OUT))
            else:
                found.append(replace(param, init=hop.scale) if hop else param)
        return Space(found)

    def recipe_of(self, path: Sequence[Hop]) -> Recipe:
        """Return the recipe of a path that ends as the file's does."""
        used = {self._first, *(hop.source for hop in path)}
        refs = [self._ref(name) for name in self.depths if name in used]
        return path_recipe(path, refs, self.scale_target, self.pool, self._tail)

    def baselines(self) -> dict[str, Recipe]:
        """Return where the search starts."""
        return {"start_point": self.recipe(self.space.init)}


def _places(path: Sequence[Hop], depths: Mapping[str, int]) -> tuple[list[int], int]:
    """Return the slot of each hop, the next that fits, and the number of layers of all models."""
    layers = [(name, layer) for name, depth in depths.items() for layer in range(depth)]
    found: list[int] = []
    for hop in path:
        number = layers.index((hop.source, hop.layer))
        before = found[-1] if found else -1
        number += (before + 1 - number + len(layers) - 1) // len(layers) * len(layers)
        found.append(max(number, layers.index((hop.source, hop.layer))))
    return found, len(layers)
