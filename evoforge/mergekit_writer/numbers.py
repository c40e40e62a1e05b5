"""A number for each tensor, in the fewest words that mergekit's files have for it.

One number if all are the same; else a list along the layers, and filters by names for what has
another course.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from evoforge.mergekit_yaml.settings import setting, value
from evoforge.models.layout import block_tensors, num_blocks, place

Curve = tuple[float, ...]


def compact(numbers: Mapping[str, float]) -> Any:
    """Return the setting that gives each tensor its number.

    Args:
        numbers: by the tensors' names; of a whole model.

    Returns:
        A number, a list of one for each layer, or a list of `{filter, value}`.
    """
    if len(set(numbers.values())) == 1:
        return next(iter(numbers.values()))
    curves = _curves(numbers)
    outside = {name: x for name, x in numbers.items() if place(name).block is None}
    usual = Counter(curves.values()).most_common(1)[0][0] if curves else ()
    for short in (True, False):
        rules = [
            *(
                _rule(_stem(name) if short else name, (x,))
                for name, x in outside.items()
                if {x} != set(usual)
            ),
            *(_rule(part, curve) for part, curve in _parts(curves, usual, short)),
            {"value": _plain(usual)},
        ]
        if _says(rules, numbers):
            return rules
    return [{"filter": name, "value": x} for name, x in _longest_first(numbers)]


def _curves(numbers: Mapping[str, float]) -> dict[str, Curve]:
    """Return the numbers of each tensor of a block along the layers, by its name in the block."""
    found: dict[str, list[float]] = {}
    for block in range(num_blocks(tuple(numbers))):
        for inside, name in block_tensors(numbers, block).items():
            found.setdefault(inside, []).append(numbers[name])
    return {inside: tuple(curve) for inside, curve in found.items()}


def _parts(curves: Mapping[str, Curve], usual: Curve, short: bool) -> list[tuple[str, Curve]]:
    """Return parts of names, and the numbers along the layers of the tensors that hold them."""
    found: dict[str, Curve] = {}
    for inside, curve in curves.items():
        first = inside.split(".")[0]
        alike = {c for other, c in curves.items() if other.split(".")[0] == first}
        if curve != usual:
            found[f"{first}." if short and len(alike) == 1 else inside] = curve
    return list(found.items())


def _rule(part: str, curve: Curve) -> dict[str, Any]:
    return {"filter": part, "value": _plain(curve)}


def _plain(curve: Curve) -> Any:
    return curve[0] if len(set(curve)) == 1 else list(curve)


def _stem(name: str) -> str:
    return name.removesuffix(".weight").removesuffix(".bias")


def _says(rules: Sequence[Mapping[str, Any]], numbers: Mapping[str, float]) -> bool:
    """Whether mergekit finds every tensor's number in these rules."""
    read = setting(list(rules), "rules")
    last = num_blocks(tuple(numbers)) - 1
    for name, number in numbers.items():
        block = place(name).block
        along = 0.0 if block is None else block / last if last else 1.0
        found = value(read, name, along)
        if found is None or not math.isclose(found, number, rel_tol=1e-9):
            return False
    return True


def _longest_first(numbers: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return names so that none comes after one that it holds."""
    return sorted(numbers.items(), key=lambda item: (-len(item[0]), item[0]))
