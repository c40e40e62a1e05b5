"""A candidate: a recipe that can give tensors, or hops over resident layers.

Mergers make candidates, evaluators use them. Neither side knows the other; this is all they share.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch

from evoforge.path import Hop

ScaleTarget = Literal["stream", "branch"]
SCALE_TARGETS: tuple[ScaleTarget, ...] = get_args(ScaleTarget)


class Adapter(Protocol):
    """Changes to a model that are stored apart from it."""

    def save(self, folder: Path) -> None:
        """Write the adapter's files."""
        ...


class Candidate(Protocol):
    """A merged model that need not exist in memory as a whole."""

    @property
    def identity(self) -> str:
        """The hash of the recipe."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The names of all tensors, as in a checkpoint of the candidate."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of config.json in which the candidate differs from the pool's reference."""
        ...

    @property
    def walk(self) -> "Walk | None":
        """The way through resident layers that the candidate is, if it is one."""
        ...

    def key(self, name: str) -> Hashable:
        """Return what fixes one tensor's values: equal keys, equal bytes."""
        ...

    def shape(self, name: str) -> torch.Size:
        """Return the shape of one tensor."""
        ...

    def write(self, name: str, out: torch.Tensor) -> None:
        """Make one merged tensor in its place: of its shape, any floating type, any device.

        Raises:
            MergeError: the tensor is not finite there.
        """
        ...

    def tensor(self, name: str) -> torch.Tensor:
        """Return one merged tensor in float32.

        Raises:
            MergeError: the tensor is not finite.
        """
        ...

    def adapter(self) -> Adapter | None:
        """Return the candidate as an adapter of the model that its sources adapt, if it is one."""
        ...


@dataclass(frozen=True)
class Member:
    """A model whose layers paths lead through.

    Args:
        candidate: its weights: a source as it is, or a merge.
        num_layers: how many transformer blocks it has.
        per_layer: the settings of config.json that have a value for each block.
    """

    candidate: Candidate
    num_layers: int
    per_layer: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of config.json that follow from the number and kinds of blocks."""
        lists = {key: list(values) for key, values in self.per_layer.items()}
        return {"num_hidden_layers": self.num_layers, **lists}


@dataclass(frozen=True)
class Walk:
    """Hops over layers that are in memory: nothing has to be merged to follow them.

    Args:
        members: the models by name; the first gives embeddings and settings.
        hops: in order.
        target: what the scale of a hop multiplies: `stream`, the block's whole input, or `branch`,
            only what the block before it adds in its MLP. The first hop's multiplies its input.
        factor: returns what a tensor of the candidate, by its name there, is over the same tensor
            of the model that it comes from: this is how scales become weights.
        tail: the model that gives final norm and output embedding, if it is not the first.
        endings: the names of the tensors that the tail gives.
    """

    members: Mapping[str, Member]
    hops: tuple[Hop, ...]
    target: ScaleTarget
    factor: Callable[[str], float]
    tail: str | None = None
    endings: frozenset[str] = frozenset()

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of config.json that follow from the number and kinds of hops."""
        lists = {
            key: [self.members[hop.source].per_layer[key][hop.layer] for hop in self.hops]
            for key in self.first.per_layer
        }
        return {"num_hidden_layers": len(self.hops), **lists}

    @property
    def first(self) -> Member:
        """The model that gives embeddings and, unless there is a tail, all outside the layers."""
        return next(iter(self.members.values()))
