"""Winners as mergekit configurations, so that other tools can make them again.

Knows recipes and the format of mergekit's YAML; does not need mergekit.
"""

from collections.abc import Sequence
from typing import Any

import yaml

from evoforge.candidate import Candidate, Walk
from evoforge.models.layout import Place, block_tensors, place
from evoforge.models.pool import Pool

HEAD = """\
# This path as a mergekit passthrough merge: mergekit-yaml mergekit_config.yml FOLDER
# Scales are folded: they divide what each layer adds, so mergekit needs no custom code.
"""


def passthrough(candidate: Candidate, pool: Pool) -> str | None:
    """Return the mergekit configuration of a path: one slice a hop, factors as `scale` filters.

    Returns:
        YAML text; None for a candidate that is no path, or whose path leads through a merge, or
        whose fold needs a tensor that mergekit cannot make (an untied output embedding).
    """
    walk = candidate.walk
    if walk is None or "tie_word_embeddings" in candidate.settings:
        return None
    if set(walk.members) - {source.name for source in pool.members}:
        return None
    slices = []
    for number, hop in enumerate(walk.hops):
        part: dict[str, Any] = {
            "model": model_reference(pool, hop.source),
            "layer_range": [hop.layer, hop.layer + 1],
        }
        if filters := _filters(walk, candidate.names, number):
            part["parameters"] = {"scale": [*filters, {"value": 1.0}]}
        slices.append({"sources": [part]})
    content = {
        "merge_method": "passthrough",
        "slices": slices,
        "dtype": pool.dtype_name,
        "tokenizer_source": model_reference(pool, pool.tokenizer_source),
    }
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return HEAD + text


def model_reference(pool: Pool, name: str) -> str:
    """Return how mergekit calls a source: its hub id, with its commit, or its folder."""
    source = pool.member(name)
    if source.revision is None:
        return str(source.folder)
    return f"{source.spec.path}@{source.revision}"


def _filters(walk: Walk, names: Sequence[str], number: int) -> list[dict[str, Any]]:
    """Return what a hop's tensors are multiplied by, other than 1, by a part of their names.

    mergekit takes embeddings with the first slice, final norm and output embedding with the last.
    """
    found: dict[str, float] = {}
    for name in names:
        where = place(name)
        with_first = number == 0 and where == Place(None, "embedding")
        with_last = number == len(walk.hops) - 1 and where == Place(None, "norm")
        if (where.block == number or with_first or with_last) and walk.factor(name) != 1.0:
            inside = next(iter(block_tensors([name], number)), name)
            found[inside.removesuffix(".weight").removesuffix(".bias")] = walk.factor(name)
    return [{"filter": part, "value": factor} for part, factor in found.items()]
