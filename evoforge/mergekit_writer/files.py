"""What an export writes of a winner for mergekit: the text of `mergekit_config.yml`."""

import textwrap
from collections.abc import Sequence
from typing import Any

import yaml

from evoforge.candidate import Candidate
from evoforge.mergekit_writer.merges import Written, merge
from evoforge.mergekit_writer.paths import path
from evoforge.models.pool import Pool
from evoforge.recipe import Recipe

WIDTH = 98
ONE = "This merge for mergekit: mergekit-yaml mergekit_config.yml FOLDER"
TWO = (
    "This merge for mergekit: mergekit-multi mergekit_config.yml --intermediate-dir PARTS "
    "--out-path FOLDER"
)
FOLDED = "Scales are folded: they divide what each layer adds, so mergekit needs no custom code."
TWICE = (
    "mergekit stores the merge before it goes on with layers, so scaled weights are rounded twice"
)


def mergekit_config(candidate: Candidate, recipe: Recipe, pool: Pool) -> str | None:
    """Return the mergekit configuration of a winner.

    Returns:
        YAML text, two documents for a path through a merge; None where mergekit cannot make it: a
        method or an option that it does not have, a path whose fold needs a tensor of its own (an
        untied output embedding), or whose embeddings are brought to another vocabulary, and a
        model that sees pictures, of which it would merge tower and projector too.
    """
    if pool.vision is not None:
        return None
    walk = candidate.walk
    if walk is None:
        found = merge(recipe, pool)
        return None if found is None else _text([found], [ONE, *_notes([found])])
    if "tie_word_embeddings" in candidate.settings or pool.vocabulary:
        return None
    parts: list[Written] = []
    inner = {ref["name"]: ref["recipe"] for ref in recipe.content["sources"] if "recipe" in ref}
    for name, content in inner.items():
        part = None if "path" in content else merge(Recipe(content), pool)
        if part is None:
            return None
        parts.append(Written({"name": name, **part.content}, part.notes))
    last = path(walk, candidate.names, pool, {name: name for name in inner})
    if last is None:
        return None
    scaled = any(hop.scale != 1.0 for hop in walk.hops)
    notes = [*_notes(parts), *([TWICE] if parts and scaled else []), *([FOLDED] if scaled else [])]
    return _text([*parts, last], [TWO if parts else ONE, *notes])


def _notes(parts: Sequence[Written]) -> list[str]:
    return [f"Not the same: {note}." for part in parts for note in part.notes]


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML has no types
    """Writes lists of numbers in one line."""


def _list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    flat = all(isinstance(value, int | float) for value in values)
    node: yaml.Node = dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flat)
    return node


_Dumper.add_representer(list, _list)


def _text(parts: Sequence[Written], head: Sequence[str]) -> str:
    lines = [line for note in head for line in textwrap.wrap(note, WIDTH)]
    documents = yaml.dump_all(
        [part.content for part in parts],
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=WIDTH,
    )
    return "".join(f"# {line}\n" for line in lines) + str(documents)
