"""What became of a candidate: the result of every item, and the score made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from evoforge.recipe import digest


@dataclass(frozen=True)
class ItemResult:
    """What became of one item.

    Args:
        item: the item's id.
        score: the task's main metric on this item.
        metrics: every metric on this item.
        completion: the model's answer.
        tokens: the number of tokens in the answer.
        reason: why the answer ended there.
    """

    item: str
    score: float
    metrics: Mapping[str, float]
    completion: str
    tokens: int
    reason: str = ""


@dataclass(frozen=True)
class Evaluation:
    """What became of one candidate on one set of items.

    Args:
        recipe: the recipe's hash.
        protocol: the protocol's hash.
        item_set: the hash of the items' ids, see `item_set_hash`.
        status: `ok`, or `failed` with a reason; a failure has no score and fitness -inf.
        reason: the error's text; empty if all went well.
        score: of the main metric: the weighted mean over the items.
        fitness: higher is better, everywhere.
        metrics: every metric of the set.
        seconds: by phase: `merge`, `generate`, `score`; of the items that were asked for it.
        results: one for each item; empty when read back without them.
        weights: what each result counts in the score, if it was read back with them.
        proxy: whether a cheaper stand-in for the task was judged, whose scores are of another kind.
    """

    recipe: str
    protocol: str
    item_set: str
    status: Literal["ok", "failed"]
    fitness: float
    reason: str = ""
    score: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    results: tuple[ItemResult, ...] = ()
    weights: tuple[float, ...] = field(default=(), compare=False)  # the item set says as much
    proxy: bool = False


def item_set_hash(items: Sequence[str]) -> str:
    """Return the identity of an ordered list of item ids."""
    return digest(list(items))
