"""A path through layers as recipes write it: its hops, and what they add up to.

Knows names and numbers; does not know models, and so not whether a path can be walked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class Hop:
    """One step of a path: a transformer block of a source, and the scale before it.

    Args:
        source: the source's name.
        layer: the number of the block in its source, from 0.
        scale: what the input of the block is multiplied by; never 0.
    """

    source: str
    layer: int
    scale: float = 1.0


def hops(content: Mapping[str, Any]) -> tuple[Hop, ...]:
    """Return the path of a recipe's content; empty if it has none."""
    return tuple(Hop(str(s), int(layer), float(x)) for s, layer, x in content.get("path", ()))


def written(path: Sequence[Hop]) -> list[list[str | int | float]]:
    """Return a path as recipes hold it: `[source, layer, scale]` for each hop."""
    return [[hop.source, hop.layer, hop.scale] for hop in path]


def statistics(path: Sequence[Hop]) -> dict[str, float]:
    """Return what is worth a number about a path.

    `hops`: its length; `switches`: how often the source changes; `repeated`: hops whose layer was
    there before; `mean_scale` and `least_scale` (of the magnitudes); and `share/SOURCE`: the
    share of the hops in each source.

    >>> statistics([Hop("a", 0), Hop("b", 1, 0.5), Hop("b", 1, -1.5)])["switches"]
    1.0
    """
    sources = [hop.source for hop in path]
    distinct = {(hop.source, hop.layer) for hop in path}
    scales = [hop.scale for hop in path]
    return {
        "hops": float(len(path)),
        "switches": float(sum(a != b for a, b in pairwise(sources))),
        "repeated": float(len(path) - len(distinct)),
        "mean_scale": sum(scales) / len(path),
        "least_scale": min(map(abs, scales)),
        **{f"share/{s}": sources.count(s) / len(path) for s in dict.fromkeys(sources)},
    }


def short(path: Sequence[Hop]) -> str:
    """Return a path in a line, runs of layers together: `math_a 0-3, ja 4, math_a 2-7`."""
    runs: list[tuple[str, int, int]] = []
    for hop in path:
        if runs and runs[-1][0] == hop.source and runs[-1][2] + 1 == hop.layer:
            runs[-1] = (hop.source, runs[-1][1], hop.layer)
        else:
            runs.append((hop.source, hop.layer, hop.layer))
    words: list[str] = []
    last = ""
    for source, first, end in runs:
        layers = str(first) if first == end else f"{first}-{end}"
        words.append(layers if source == last else f"{source} {layers}")
        last = source
    return ", ".join(words)
