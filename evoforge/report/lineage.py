"""What a recipe is made of where one of its sources is itself a merge, with a recipe of its own.

Knows the layout of recipes; does not know models or runs.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Content = Mapping[str, Any]


def inner(content: Content) -> Iterator[Content]:
    """Yield the recipes of those sources that are merges."""
    for source in content.get("sources", ()):
        if isinstance(source.get("recipe"), Mapping):
            yield source["recipe"]


def merges(content: Content) -> list[str]:
    """Return the hashes of the merges among the sources, also of those further down."""
    found = [key for recipe in inner(content) for key in merges(recipe)]
    own = [str(s["hash"]) for s in content.get("sources", ()) if "recipe" in s]
    return [*found, *own]


def methods(content: Content) -> list[str]:
    """Return the methods that made a model, the first applied in front.

    >>> methods({"method": "dfs", "sources": [{"name": "merged", "recipe": {"method": "ties"}}]})
    ['ties', 'dfs']
    """
    found = [method for recipe in inner(content) for method in methods(recipe)]
    return list(dict.fromkeys([*found, str(content.get("method", "unknown"))]))


def origins(content: Content) -> list[str]:
    """Return the names of the models that a recipe begins with, bases among them; no merge."""
    found = [name for recipe in inner(content) for name in origins(recipe)]
    found += [s["name"] for s in content.get("sources", ()) if "recipe" not in s]
    base = content.get("base")
    return list(dict.fromkeys([*found, *([base["name"]] if base else [])]))


def numbers(content: Content) -> Content:
    """Return a recipe's `values`, or those of the first merge among its sources that has some."""
    own = content.get("values")
    if isinstance(own, Mapping) and own:
        return own
    return next((found for found in map(numbers, inner(content)) if found), {})


def merged(content: Content) -> str | None:
    """Return the name of the source whose numbers `numbers` gives, None if they are its own."""
    if content.get("values"):
        return None
    found = [s for s in content.get("sources", ()) if numbers(s.get("recipe") or {})]
    return str(found[0]["name"]) if found else None
