"""The winner's path in words: what the terminal, the model card and the pictures share.

Knows hops and their statistics; does not know rich, Markdown or matplotlib.
"""

from collections.abc import Sequence

from evoforge.path import Hop, hops, statistics
from evoforge.record import Record
from evoforge.report.lineage import Content


def winning(record: Record) -> Content | None:
    """Return the content of the winner's recipe, None if there is no winner."""
    numbers = [number for (name, _), number in record.roles().items() if name == "winner"]
    return record.recipe(record.evaluation(numbers[0]).recipe).content if numbers else None


def depths(record: Record, content: Content) -> dict[str, int]:
    """Return how many layers each source of a path has, the model that leads in front.

    Where no stage tells, as many as the path shows.
    """
    told = [info.get("layers") or {} for info in record.stages().values()]
    known = {str(name): int(count) for layers in told for name, count in layers.items()}
    for hop in hops(content):
        known[hop.source] = max(known.get(hop.source, 0), hop.layer + 1)
    # The journal sorts the names of a stage's facts, a recipe keeps its sources in order.
    names = [str(source["name"]) for source in content["sources"]]
    return {name: known[name] for name in dict.fromkeys([*names, *known]) if name in known}


def counts(path: Sequence[Hop]) -> str:
    """Return how long a path is, and how often it changes the source or comes back to a layer.

    >>> counts([Hop("a", 0), Hop("b", 1), Hop("b", 1)])
    '3 hops, 1 switch, 1 repeat'
    """
    found = statistics(path)
    kinds = (("hops", "hop"), ("switches", "switch"), ("repeated", "repeat"))
    plural = {"hop": "hops", "switch": "switches", "repeat": "repeats"}
    numbers = [(int(found[key]), word) for key, word in kinds]
    return ", ".join(f"{n} {word if n == 1 else plural[word]}" for n, word in numbers)


def shares(path: Sequence[Hop]) -> dict[str, str]:
    """Return the share of the hops in each source in percent, the largest first."""
    prefix = "share/"
    found = {k.removeprefix(prefix): v for k, v in statistics(path).items() if k.startswith(prefix)}
    return {source: f"{found[source]:.0%}" for source in sorted(found, key=lambda s: -found[s])}


def scaling(path: Sequence[Hop]) -> str:
    """Return what the scales of a path are, in words."""
    scales = [hop.scale for hop in path]
    if not scaled(path):
        return "all scales are 1"
    low, high, mean = min(scales), max(scales), statistics(path)["mean_scale"]
    negative = sum(scale < 0 for scale in scales)
    return f"scales {low:.3g} to {high:.3g}, mean {mean:.3g}" + (
        f", {negative} negative" if negative else ""
    )


def scaled(path: Sequence[Hop]) -> bool:
    """Whether any hop has another scale than 1."""
    return any(hop.scale != 1 for hop in path)
