"""The candidate of a recipe with a path: hops over layers, and the plain checkpoint they fold into.

Scaling the stream by s_k before hop k is the same as leaving the stream alone and dividing what
hop k adds to it by the running product P_k = s_2 ... s_k, because the norms at the entry of a block
take every positive factor out again; where P_k is negative they change sign. So a path is an
ordinary model with as many blocks as hops, and only the norms' epsilon makes a difference.
"""

import math
from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from itertools import accumulate
from operator import mul
from typing import Any

import torch

from evoforge.candidate import Candidate, Member, Walk
from evoforge.errors import ConfigError
from evoforge.merge._facts import check_facts
from evoforge.merge._finite import check_finite
from evoforge.models.layout import Place, block_tensors, in_block, place
from evoforge.models.pool import Pool
from evoforge.models.source import Source
from evoforge.path import Hop, hops
from evoforge.recipe import Recipe

HEAD = "lm_head.weight"
# Architectures whose blocks normalise their input only, with norms that are multiplied by their
# weights as they are: what a test has shown to fold. Their tensors are called:
FOLDABLE = ("llama", "mistral", "ministral", "qwen2", "qwen3", "phi3", "smollm3", "granite")
# Language parts of a kind of their own, with the blocks of one of these.
FOLDABLE_PARTS = ("qwen2_vl_text", "qwen2_5_vl_text")
ATTENTION_OUT = "self_attn.o_proj."
MLP_OUT = "mlp.down_proj."
INPUT_NORMS = ("input_layernorm.weight", "post_attention_layernorm.weight")


class Whole:
    """A source as it is, as a candidate.

    Args:
        pool: where it is.
        name: which one.
    """

    settings: Mapping[str, Any] = {}
    walk = None

    def __init__(self, pool: Pool, name: str) -> None:
        self._tensors = pool.tensors(name)
        self.identity = pool.hash(name)
        self.names = tuple(self._tensors)

    def key(self, name: str) -> Hashable:
        """Return what fixes a tensor's values: which source it is of."""
        return (self.identity, name)

    def adapter(self) -> None:
        """Return nothing: this is no adapter."""

    def shape(self, name: str) -> torch.Size:
        """Return the shape of a tensor."""
        return self._tensors.shape(name)

    def write(self, name: str, out: torch.Tensor) -> None:
        """Copy a tensor into `out`.

        Raises:
            MergeError: it does not fit into the type of `out`.
        """
        out.copy_(self._tensors[name])
        check_finite(name, out)

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor in float32."""
        # A copy: whoever asks may write into it, and the sources are never written to.
        return self._tensors[name].to(torch.float32, copy=True)


class PathCandidate:
    """A way through the layers of several models, and the same as plain tensors.

    Args:
        recipe: with `path`, `sources` and `options.scale_target`, and `tail` where final norm and
            output embedding are not the first source's.
        pool: the sources.
        inner: makes the candidate of a source that is itself a merge.

    Raises:
        ConfigError: the path cannot be walked, or a source is not the one of the recipe.
    """

    def __init__(self, recipe: Recipe, pool: Pool, inner: Callable[[Recipe], Candidate]) -> None:
        check_facts(recipe, pool)
        self.identity = recipe.hash
        self.members = {
            ref["name"]: _member(ref, recipe, pool, inner) for ref in recipe.content["sources"]
        }
        self.hops = hops(recipe.content)
        _check(self.hops, self.members)
        target = recipe.content["options"]["scale_target"]
        tail: str | None = recipe.content.get("tail")
        self._head = next(iter(self.members.values())).candidate
        endings = _endings(self._head, self.members[tail].candidate) if tail else frozenset()
        self.walk = Walk(self.members, self.hops, target, self._factor, tail, endings)
        # The first hop's scale is the embeddings' own, so that no small number meets an epsilon.
        self._start = self.hops[0].scale
        self._products: list[float] = list(
            accumulate([1.0, *(hop.scale for hop in self.hops[1:])], mul)
        )
        self._unties = self._start != 1.0 and HEAD not in self._head.names
        if any(hop.scale != 1.0 for hop in self.hops):
            check_foldable(pool)
        if pool.vision is not None and self._start != 1.0:
            raise ConfigError(
                f"the scale of the first hop must be 1 where models see pictures, got {self._start}"
                ": it goes into the embeddings, and what is seen of a picture does not"
            )

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of config.json that follow from the path."""
        untied = {"tie_word_embeddings": False} if self._unties else {}
        return {**self.walk.settings, **untied}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all tensors of the plain checkpoint."""
        return tuple(self._origins)

    @cached_property
    def _origins(self) -> dict[str, tuple[int | None, str]]:
        """For each tensor the hop it belongs to, if any, and its name in that hop's model."""
        found: dict[str, tuple[int | None, str]] = {
            name: (None, name) for name in self._head.names if place(name).block is None
        }
        if self._unties:
            found[HEAD] = (None, _embedding(self._head))
        for number, hop in enumerate(self.hops):
            names = block_tensors(self.members[hop.source].candidate.names, hop.layer)
            found |= {in_block(name, number): (number, name) for name in names.values()}
        return found

    def key(self, name: str) -> Hashable:
        """Return what fixes a tensor's values: the tensor it is made of, and the factor on it."""
        candidate, origin, factor = self._made_of(name)
        return (candidate.key(origin), origin, factor)

    def adapter(self) -> None:
        """Return nothing: this is no adapter."""

    def shape(self, name: str) -> torch.Size:
        """Return the shape of a tensor of the plain checkpoint."""
        candidate, origin, _ = self._made_of(name)
        return candidate.shape(origin)

    def write(self, name: str, out: torch.Tensor) -> None:
        """Make a tensor of the plain checkpoint in its place.

        Raises:
            MergeError: it is not finite there.
        """
        candidate, origin, factor = self._made_of(name)
        if factor == 1.0:
            candidate.write(origin, out)
        else:
            out.copy_(candidate.tensor(origin) * factor)
            check_finite(f"{name}, with the scales folded in,", out)

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor of the plain checkpoint in float32.

        Raises:
            MergeError: it is not finite.
        """
        out = torch.empty(self.shape(name))
        self.write(name, out)
        return out

    def _made_of(self, name: str) -> tuple[Candidate, str, float]:
        number, origin = self._origins[name]
        outside = self.walk.tail if name in self.walk.endings else None
        source = outside if number is None else self.hops[number].source
        candidate = self._head if source is None else self.members[source].candidate
        return candidate, origin, self._factor(name)

    def _factor(self, name: str) -> float:
        number = place(name).block
        if number is None:
            return self._outside(name)
        (inside,) = block_tensors([name], number)
        return self._inside(number, inside)

    def _outside(self, name: str) -> float:
        """Return what a tensor outside the blocks is multiplied by."""
        if place(name) == Place(None, "embedding"):
            return self._start
        if place(name) == Place(None, "norm") and name.endswith("weight"):
            return self._sign(len(self.hops) - 1)
        return 1.0

    def _inside(self, number: int, inside: str) -> float:
        """Return what a tensor of a hop is multiplied by; `inside` is its name in the block."""
        if self.walk.target == "branch":
            # What the next hop multiplies is what this one's MLP adds.
            last = number + 1 == len(self.hops)
            return 1.0 if last or not inside.startswith(MLP_OUT) else self.hops[number + 1].scale
        if inside.startswith((ATTENTION_OUT, MLP_OUT)):
            return 1.0 / self._products[number]
        return self._sign(number) if inside in INPUT_NORMS else 1.0

    def _sign(self, number: int) -> float:
        """Return -1 where the stream has its sign turned, as the norms have to undo."""
        return -1.0 if self.walk.target == "stream" and self._products[number] < 0 else 1.0


def _member(
    ref: Mapping[str, Any], recipe: Recipe, pool: Pool, inner: Callable[[Recipe], Candidate]
) -> Member:
    if "recipe" in ref:
        # A merge of weights has the blocks that the reference has.
        return _as_member(inner(Recipe(ref["recipe"])), pool.reference, pool)
    pool.check_hash(ref, recipe.hash)
    source = pool.member(ref["name"])
    return _as_member(Whole(pool, source.name), source, pool)


def _as_member(candidate: Candidate, source: Source, pool: Pool) -> Member:
    return Member(candidate, source.num_layers, pool.per_layer(source))


def _endings(head: Candidate, tail: Candidate) -> frozenset[str]:
    """Return the names of final norm and output embedding, which come from the tail.

    Raises:
        ConfigError: they do not fit the first model.
    """
    modules = (Place(None, "norm"), Place(None, "head"))
    names = frozenset(name for name in head.names if place(name) in modules)
    for name in sorted(names):
        if name not in tail.names or tail.shape(name) != head.shape(name):
            raise ConfigError(
                f"{name} of the path's last model does not fit its first; end the path with the "
                "first model"
            )
    return names


def _check(path: tuple[Hop, ...], members: Mapping[str, Member]) -> None:
    if not path:
        raise ConfigError("a path must have at least one hop, got none")
    for hop in path:
        if hop.source not in members:
            raise ConfigError(f"the path leads through {hop.source}, which is none of its sources")
        last = members[hop.source].num_layers - 1
        if not 0 <= hop.layer <= last:
            raise ConfigError(f"{hop.source} has the layers 0 to {last}, the path has {hop.layer}")
        if not math.isfinite(hop.scale) or hop.scale == 0:
            raise ConfigError(
                f"the scale of a hop must be a finite number other than 0, got {hop.scale} at "
                f"layer {hop.layer} of {hop.source}"
            )


def check_foldable(pool: Pool) -> None:
    """Refuse scales where it is not known what they would have to be folded into.

    Raises:
        ConfigError: the architecture is none of those that are known to fold.
    """
    # The model that sees may do more in its layers than the text model that leads.
    runs = pool.reference if pool.vision is None else pool.vision.source
    kind = runs.config.get("model_type")
    known = (*FOLDABLE, *FOLDABLE_PARTS)
    if kind not in known:
        raise ConfigError(
            f"scales are known to fold into {', '.join(known)}, got {kind}; set merge.scale=none"
        )


def _embedding(candidate: Candidate) -> str:
    return next(n for n in candidate.names if place(n) == Place(None, "embedding"))
