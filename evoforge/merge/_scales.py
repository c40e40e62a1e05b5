"""Ways to give the hops of a path their scales: how many genes they take, and what they mean.

Every way has a list of parameters and turns their values into one scale for each hop that follows
another; the first hop's is 1, since no layer comes before it. Knows layers by number; does not
know models.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from evoforge.errors import ConfigError
from evoforge.space import DECIMALS, Param, Range

Scale = Literal["none", "hop", "pair", "low_rank", "network"]
SCALES: tuple[Scale, ...] = get_args(Scale)
Values = Mapping[str, Any]
# Weights of the network reach this far: tanh is flat beyond.
REACH = 3.0


@dataclass(frozen=True)
class Slot:
    """A place of the layout at which a layer may be in the path.

    Args:
        name: `pass0_layer3.ja`, to which parameters add what they are.
        layer: the number of its layer among all layers of all sources.
        time: where the place lies in the layout, in [0, 1].
    """

    name: str
    layer: int
    time: float


class Scales(ABC):
    """A way to give hops their scales.

    Args:
        slots: every slot that can be in a path, in order.
        layers: `layer3.ja` for each layer of all sources.
        given: what scales may be, and where the search starts.
        floor: the least magnitude; what comes nearer to 0 is moved there, keeping its sign.
    """

    def __init__(
        self, slots: Sequence[Slot], layers: Sequence[str], given: Range, floor: float
    ) -> None:
        self.slots = tuple(slots)
        self.layers = tuple(layers)
        self.given = given
        self.floor = floor

    @property
    @abstractmethod
    def params(self) -> list[Param]:
        """The parameters that are searched."""

    @abstractmethod
    def between(self, values: Values, path: Sequence[Slot]) -> list[float]:
        """Return the scale before each hop but the first, not yet kept off 0."""

    def values(self, path: Sequence[Slot], scales: Sequence[float]) -> dict[str, float]:
        """Return values of parameters that give hops these scales, as far as they can be told.

        Args:
            path: the slots of the hops.
            scales: before each hop but the first.
        """
        del path, scales
        return {}

    def of(self, values: Values, path: Sequence[Slot]) -> list[float]:
        """Return the scale before each hop of a path."""
        return [1.0, *map(self._off_zero, self.between(values, path))]

    def _off_zero(self, scale: float) -> float:
        low, high = self.given.low, self.given.high
        bounded = min(max(scale, low), high)
        if abs(bounded) >= self.floor:
            return round(bounded, DECIMALS)
        # The side that it is on, if the range reaches as far as the floor there.
        below = high < self.floor or (bounded < 0 and low <= -self.floor)
        return -self.floor if below else self.floor

    def _spread(self, position: float) -> float:
        """Return the scale at a position between -1, the lowest, 0, the start, and 1."""
        low, high, init = self.given.low, self.given.high, self.given.init
        return init + position * (high - init if position > 0 else init - low)


class Constant(Scales):
    """The same scale for all, which is not searched; 1 leaves the stream as it is."""

    @property
    def params(self) -> list[Param]:
        """None."""
        return []

    def between(self, values: Values, path: Sequence[Slot]) -> list[float]:
        """Return the one scale for every hop."""
        del values
        return [self.given.init] * (len(path) - 1)


class PerHop(Scales):
    """One scale for each slot."""

    @property
    def params(self) -> list[Param]:
        """One for each slot."""
        return [self.given.param(f"{slot.name}.scale") for slot in self.slots]

    def between(self, values: Values, path: Sequence[Slot]) -> list[float]:
        """Return the scale of each slot on the path."""
        return [values[f"{slot.name}.scale"] for slot in path[1:]]

    def values(self, path: Sequence[Slot], scales: Sequence[float]) -> dict[str, float]:
        """Return the scale of each slot on the path."""
        names = [f"{slot.name}.scale" for slot in path[1:]]
        return dict(zip(names, scales, strict=True))


class Pair(Scales):
    """The paper's matrix W: one scale for each pair of layers, W_ij on the way from i to j."""

    @property
    def params(self) -> list[Param]:
        """One for each ordered pair of layers."""
        return [
            self.given.param(self._name(i, j))
            for i in range(len(self.layers))
            for j in range(len(self.layers))
        ]

    def _name(self, before: int, layer: int) -> str:
        number, source = self.layers[layer].split(".")
        return f"{'_'.join(reversed(self.layers[before].split('.')))}.{source}.to_{number}"

    def between(self, values: Values, path: Sequence[Slot]) -> list[float]:
        """Return W_ij of neighbours on the path."""
        return [values[self._name(a.layer, b.layer)] for a, b in pairwise(path)]

    def values(self, path: Sequence[Slot], scales: Sequence[float]) -> dict[str, float]:
        """Return W_ij of neighbours on the path; where a pair comes twice, its first scale."""
        names = [self._name(a.layer, b.layer) for a, b in pairwise(path)]
        return dict(zip(reversed(names), reversed(scales), strict=True))


class LowRank(Scales):
    """W of low rank: W_ij = init + reach mean_k u_ik v_jk, with u and v in [-1, 1].

    The reach goes up to the highest scale, or down to the lowest. The search starts at u = 0,
    where W is what it starts with, and v = 1/2, so that every u counts.
    """

    rank = 2

    @property
    def params(self) -> list[Param]:
        """Two for each layer and rank."""
        return [
            Param(f"{layer}.{kind}{k}", -1.0, 1.0, start)
            for layer in self.layers
            for kind, start in (("u", 0.0), ("v", 0.5))
            for k in range(self.rank)
        ]

    def between(self, values: Values, path: Sequence[Slot]) -> list[float]:
        """Return W_ij of neighbours on the path."""
        found = []
        for before, slot in pairwise(path):
            left, right = self.layers[before.layer], self.layers[slot.layer]
            terms = [
                float(values[f"{left}.u{k}"]) * float(values[f"{right}.v{k}"])
                for k in range(self.rank)
            ]
            found.append(self._spread(sum(terms) / self.rank))
        return found


class Network(Scales):
    """The paper's pi(i, j, t): a network of one hidden layer gives the scale of each hop.

    Its inputs are the layer before, the layer itself and the place in the layout, each in
    [-1, 1]; its number of parameters does not grow with layers or passes.
    """

    hidden = 8

    @property
    def params(self) -> list[Param]:
        """Three weights and a bias for each hidden unit, its weight onward, and a last bias."""
        count = 5 * self.hidden + 1
        return [Param(f"network..w{n}", -REACH, REACH, 0.0) for n in range(count)]

    def between(self, values: Values, path: Sequence[Slot]) -> list[float]:
        """Return what the network says of neighbours on the path."""
        weights = np.array([values[param.name] for param in self.params], dtype=np.float64)
        inside = weights[: 4 * self.hidden].reshape(self.hidden, 4)
        last = max(1, len(self.layers) - 1)
        found = []
        for before, slot in pairwise(path):
            inputs = [2 * before.layer / last - 1, 2 * slot.layer / last - 1, 2 * slot.time - 1, 1]
            units = np.tanh(inside @ np.array(inputs))
            summed = float(units @ weights[4 * self.hidden : -1]) + float(weights[-1])
            found.append(self._spread(math.tanh(summed)))
        return found


def scales(
    kind: str, slots: Sequence[Slot], layers: Sequence[str], given: Range, floor: float
) -> Scales:
    """Return a way to give hops their scales.

    Raises:
        ConfigError: there is no such way, or its bounds make no sense.
    """
    if kind not in SCALES:
        raise ConfigError(f"scale must be one of {', '.join(SCALES)}, got {kind}; set merge.scale")
    if kind == "none":
        return Constant(slots, layers, Range(1.0, 1.0, 1.0), 1.0)
    if not 0 < floor <= 1:
        raise ConfigError(f"floor must be in (0, 1], got {floor}; set merge.floor")
    if max(abs(given.low), abs(given.high)) < floor:
        raise ConfigError(
            f"scale_range must reach beyond the floor of {floor:g}, got [{given.low:g}, "
            f"{given.high:g}]; set merge.scale_range"
        )
    kept = ("linear", "log") if kind in ("hop", "pair") else ("linear",)
    if given.kind not in kept:
        raise ConfigError(
            f"scale_range.kind must be {' or '.join(kept)} for scale={kind}, got {given.kind}; "
            "set merge.scale_range.kind"
        )
    kinds: dict[str, Callable[..., Scales]]
    kinds = {"hop": PerHop, "pair": Pair, "low_rank": LowRank, "network": Network}
    make = Constant if given.fixed else kinds[kind]
    return make(slots, layers, given, floor)
