"""Paths as mergekit passthrough merges: one slice a hop, factors as `scale` filters."""

from collections.abc import Mapping, Sequence
from typing import Any

from evoforge.candidate import Walk
from evoforge.mergekit_writer.merges import Written, with_own_tokenizer
from evoforge.models.layout import Place, block_tensors, place
from evoforge.models.mergekit import mergekit_reference
from evoforge.models.pool import Pool


def path(walk: Walk, names: Sequence[str], pool: Pool, merged: Mapping[str, str]) -> Written | None:
    """Return the configuration of a path, or None if a model cannot be named.

    Args:
        walk: the path.
        names: of the tensors of its plain checkpoint.
        pool: the sources.
        merged: what the file calls members of the path that are merges.
    """
    if walk.hops[-1].source != (walk.tail or next(iter(walk.members))):
        return None  # mergekit takes final norm and output embedding from the last slice
    refs = dict(merged)
    for member in walk.members:
        if member not in refs:
            found = mergekit_reference(pool.member(member))
            if found is None:
                return None
            refs[member] = found
    slices = []
    for number, hop in enumerate(walk.hops):
        part: dict[str, Any] = {
            "model": refs[hop.source],
            "layer_range": [hop.layer, hop.layer + 1],
        }
        if filters := _filters(walk, names, number):
            part["parameters"] = {"scale": [*filters, {"value": 1.0}]}
        slices.append({"sources": [part]})
    content = {"merge_method": "passthrough", "slices": slices, "dtype": pool.dtype_name}
    written = Written(content)
    first = next(iter(walk.members))
    if first in merged:
        written.content["tokenizer_source"] = merged[first]
        return written
    return with_own_tokenizer(written, pool)


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
