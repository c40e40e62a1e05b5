"""The search space: named parameters, and the way between a genome and their values.

A genome is a float64 vector in the unit cube; optimizers see nothing else. What a number in [0, 1]
means (bounds, logarithms, integers, choices) is decided here and nowhere else. The space does not
know what its parameters are used for.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from evoforge.errors import ConfigError

Genome = NDArray[np.float64]
Kind = Literal["linear", "log", "integer", "choice", "binary"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# Finer steps than this never change a score, and recipes stay readable.
DECIMALS = 6


@dataclass(frozen=True)
class Param:
    """One named parameter.

    Args:
        name: unique in its space.
        low: smallest value; 0 for a choice and a binary.
        high: largest value; the number of choices less 1 for a choice, 1 for a binary.
        init: where the search starts, in [low, high]; for a binary the gene itself, so that a
            search can start between 0 and 1, undecided.
        kind: `linear`, `log` (low > 0), `integer`, `choice`, or `binary` (1 if the gene is above
            one half, else 0).
        choices: the values of a choice, in order.

    Raises:
        ConfigError: the bounds, or the start, make no sense.
    """

    name: str
    low: float
    high: float
    init: float
    kind: Kind = "linear"
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # Whole numbers may be larger than any float.
        if not all(abs(v) <= sys.float_info.max for v in (self.low, self.high, self.init)):
            raise ConfigError(f"{self.name}: low, high and init must be finite numbers")
        if self.low >= self.high:
            raise ConfigError(
                f"{self.name}: low must be below high, got low={self.low:g} high={self.high:g}"
            )
        if not self.low <= self.init <= self.high:
            raise ConfigError(
                f"{self.name}: init must be in [{self.low:g}, {self.high:g}], got {self.init:g}"
            )
        if self.kind == "integer" and (self.low % 1 or self.high % 1):
            raise ConfigError(
                f"{self.name}: low and high of an integer must be whole numbers, got "
                f"low={self.low:g} high={self.high:g}"
            )
        if self.kind == "binary" and (self.low, self.high) != (0, 1):
            raise ConfigError(
                f"{self.name}: a binary must have low=0 high=1, got low={self.low:g} "
                f"high={self.high:g}"
            )
        if self.kind == "log" and self.low <= 0:
            raise ConfigError(f"{self.name}: low must be above 0 on a log scale, got {self.low:g}")

    def decode(self, gene: float) -> float | int | str:
        """Return the value of a gene in [0, 1]."""
        if self.kind == "binary":
            return int(gene > 0.5)
        if self.kind == "log":
            ratio = math.log(self.high / self.low)
            return self._rounded(self.low * math.exp(gene * ratio))
        if self.kind == "linear":
            return self._rounded(self.low + gene * (self.high - self.low))
        # Equal shares of [0, 1] for each of the values, so that none is favoured.
        count = round(self.high - self.low) + 1
        index = min(int(gene * count), count - 1)
        return self.choices[index] if self.kind == "choice" else round(self.low) + index

    @property
    def start(self) -> float:
        """The gene that the search starts with."""
        if self.kind == "binary":
            return self.init
        return self.encode(self.choices[round(self.init)] if self.kind == "choice" else self.init)

    def _rounded(self, value: float) -> float:
        return min(max(round(value, DECIMALS), self.low), self.high)

    def encode(self, value: float | str) -> float:
        """Return the gene of a value: the inverse of `decode`, up to rounding."""
        if self.kind == "binary":
            return 0.25 + 0.5 * int(value)
        if self.kind == "choice":
            return (self.choices.index(str(value)) + 0.5) / len(self.choices)
        number = float(value)
        if self.kind == "integer":
            return (round(number - self.low) + 0.5) / (round(self.high - self.low) + 1)
        if self.kind == "log":
            return math.log(number / self.low) / math.log(self.high / self.low)
        return (number - self.low) / (self.high - self.low)


class Space:
    """An ordered set of parameters: the axes of the unit cube.

    Args:
        params: the parameters; their order is the order of the genes.
        given: (n, dim) genomes that a search should ask first, the first of them in the place of
            the parameters' own starts; None if it starts as the parameters say.

    Raises:
        ConfigError: a name occurs twice, or there is nothing to search.
    """

    def __init__(self, params: Sequence[Param], given: NDArray[np.float64] | None = None) -> None:
        self.params = tuple(params)
        self.given = np.empty((0, len(self.params))) if given is None else given
        self.names = tuple(param.name for param in self.params)
        if len(set(self.names)) != len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise ConfigError(f"a space cannot have two parameters named {twice[0]}")
        if not self.params:
            raise ConfigError(
                "there is nothing to search: every parameter of merge is a fixed number; "
                "give at least one a range, for example merge.weight={low: 0, high: 1}"
            )

    @property
    def dim(self) -> int:
        """The number of genes."""
        return len(self.params)

    @property
    def init(self) -> Genome:
        """The genome that a search starts with: (dim,) float64."""
        if len(self.given):
            return np.array(self.given[0])
        return np.array([param.start for param in self.params])

    def starting(self, given: NDArray[np.float64]) -> "Space":
        """Return this space with other starts: (n, dim) in [0, 1]."""
        return Space(self.params, given)

    def decode(self, genome: Genome) -> dict[str, float | int | str]:
        """Return the value of every parameter.

        Args:
            genome: (dim,) float64 in [0, 1].

        Raises:
            ValueError: the genome has another length, or leaves the cube.
        """
        if genome.shape != (self.dim,):
            raise ValueError(f"genome must have shape ({self.dim},), got {genome.shape}")
        if not (np.isfinite(genome).all() and (genome >= 0).all() and (genome <= 1).all()):
            raise ValueError("every gene must be in [0, 1]")
        pairs = zip(self.params, genome, strict=True)
        return {param.name: param.decode(float(gene)) for param, gene in pairs}

    def encode(self, values: Mapping[str, float | str]) -> Genome:
        """Return the genome of named values; every parameter must be given."""
        return np.array([param.encode(values[param.name]) for param in self.params])

    @staticmethod
    def join(first: "Space", second: "Space") -> "Space":
        """Return a space with the parameters of both, the first's in front."""
        return Space(first.params + second.params)


@dataclass(frozen=True)
class Range:
    """What a user gives for a parameter of a merger: one number, or bounds to search between.

    Args:
        low: smallest value.
        high: largest value; equal to `low` for a fixed number.
        init: where the search starts.
        kind: `linear`, `log` or `integer`.
    """

    low: float
    high: float
    init: float
    kind: Kind = "linear"

    @property
    def fixed(self) -> bool:
        """Whether there is nothing to search."""
        return self.low == self.high

    def param(self, name: str) -> Param:
        """Return the parameter of this range under a full name."""
        return Param(name, self.low, self.high, self.init, self.kind)

    @staticmethod
    def parse(
        option: str, given: Any, *, low: float, high: float, open_low: bool = False
    ) -> "Range":
        """Read an option that is a number or `{low, high, init, kind}`.

        Args:
            option: the option's name as the user types it, less `merge.`.
            given: a number, or a mapping with `low` and `high`, and if wanted `init` and `kind`.
            low: the smallest value that makes sense.
            high: the largest value that makes sense.
            open_low: whether `low` itself makes no sense.

        Raises:
            ConfigError: not a number or range, or outside what makes sense.
        """
        values = {"low": given, "high": given} if not isinstance(given, Mapping) else dict(given)
        unknown = sorted(set(values) - {"low", "high", "init", "kind"})
        if unknown or not {"low", "high"} <= set(values):
            raise ConfigError(
                f"{option} must be a number or {{low, high, init, kind}}, got {given}; "
                f"set merge.{option}"
            )
        kind = values.pop("kind", "linear")
        if kind not in ("linear", "log", "integer"):
            raise ConfigError(
                f"{option}.kind must be linear, log or integer, got {kind}; set merge.{option}.kind"
            )
        shown = f"{'(' if open_low else '['}{low:g}, {high:g}]"
        for key, value in values.items():
            if value is None and key == "init":
                continue
            _check_number(option, value, low, high, open_low, shown)
        bottom, top = float(values["low"]), float(values["high"])
        if bottom > top:
            raise ConfigError(
                f"{option}: low must not be above high, got low={bottom:g} high={top:g}; "
                f"set merge.{option}"
            )
        start = values.get("init")
        init = (bottom + top) / 2 if start is None else float(start)
        if not bottom <= init <= top:
            raise ConfigError(
                f"{option}.init must be in [{bottom:g}, {top:g}], got {init:g}; "
                f"set merge.{option}.init"
            )
        return Range(bottom, top, init, kind)


def _check_number(
    option: str, value: Any, low: float, high: float, open_low: bool, shown: str
) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(
            f"{option} must be a number in {shown}, got {value!r}; set merge.{option}"
        )
    inside = low < value <= high if open_low else low <= value <= high
    if not inside:
        raise ConfigError(f"{option} must be in {shown}, got {float(value)}; set merge.{option}")
