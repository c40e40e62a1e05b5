"""A number as mergekit's files write it: plain, along the depth, or by names of tensors.

Knows numbers and parts of names; does not know methods or models.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evoforge.errors import ConfigError

# What counts as a place of one of the numbers, and as nothing beside the largest of two.
NEAR = 1e-9
NOISE_DIGITS = 12


@dataclass(frozen=True)
class Rule:
    """A number for the tensors whose names hold a part.

    Args:
        values: one number, or several that are spread evenly along the layers of a slice.
        part: of names; None for all.
    """

    values: tuple[float, ...]
    part: str | None = None

    def at(self, along: float) -> float:
        """Return the number at a place along the layers, in [0, 1]."""
        place = along * (len(self.values) - 1)
        if abs(place - round(place)) < NEAR:
            return self.values[round(place)]
        below = int(place)
        share = place - below
        first, second = self.values[below : below + 2]
        largest = max(abs(first), abs(second))
        if not largest:
            return 0.0
        # Without what is left of differences that are nothing.
        digits = NOISE_DIGITS - math.floor(math.log10(largest))
        return round((1 - share) * first + share * second, digits)


# The first rule that fits a tensor counts.
Setting = tuple[Rule, ...]


def value(setting: Setting, name: str, along: float) -> float | None:
    """Return the number for a tensor, or None if no rule fits it.

    Args:
        setting: the rules.
        name: the tensor's name.
        along: its place along the layers of a slice, in [0, 1].
    """
    for rule in setting:
        if rule.part is None or rule.part in name:
            return rule.at(along)
    return None


def settings(given: Any, where: str) -> dict[str, Setting]:
    """Read a mapping of parameters.

    Raises:
        ConfigError: it is none, or a value is none that mergekit takes.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigError(f"parameters of {where} must be a mapping, got {given!r}")
    return {str(key): setting(content, str(key)) for key, content in given.items()}


def setting(given: Any, key: str) -> Setting:
    """Read a parameter: a number, a list of numbers, or a list of `{filter, value}`.

    Raises:
        ConfigError: it is none of these.
    """
    if isinstance(given, Mapping):
        return (_rule(given, key),)
    if isinstance(given, list) and given and isinstance(given[0], Mapping):
        return tuple(_rule(each, key) for each in given)
    return (Rule(_values(given, key)),)


def _rule(given: Any, key: str) -> Rule:
    if not isinstance(given, Mapping) or not {"value"} <= set(given) <= {"value", "filter"}:
        raise ConfigError(f"a part of {key} must be {{filter, value}}, got {given!r}")
    part = given.get("filter")
    if part is not None and not isinstance(part, str):
        raise ConfigError(f"the filter of {key} must be a part of a tensor's name, got {part!r}")
    return Rule(_values(given["value"], key), None if part == "*" else part)


def _values(given: Any, key: str) -> tuple[float, ...]:
    found = given if isinstance(given, list) else [given]
    if not found:
        raise ConfigError(f"{key} must have a number at least, got an empty list")
    return tuple(_number(each, key) for each in found)


def _number(given: Any, key: str) -> float:
    """Return a number; YAML takes 1e-5, without a point, for a text."""
    try:
        number = float(given) if isinstance(given, bool | int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{key} must be a number, a list of them or filters, got {given!r}")
    return number
