"""Who asked how many items: the searches, the baselines, or the report on the winner.

Reads the record; an item that was answered before was asked by the first who wanted it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from evoforge.record import FINALIST, Record


@dataclass(frozen=True)
class Spent:
    """What one evaluation cost.

    Args:
        number: of the evaluation, from 1 in the order in which they were made.
        asker: `search`, `select`, `proxy`, `winner` or `baselines`, see `items_by_asker`.
        items: how many answers were new.
        seconds: of all phases.
    """

    number: int
    asker: str
    items: int
    seconds: float


def items_by_asker(record: Record) -> dict[str, int]:
    """Return how many items were answered for whom.

    `search`: for candidates and finalists, `select` of them for finalists; `proxy`: by a cheaper
    stand-in for the task, to screen candidates; `winner`: to report on it, beyond what it answered
    before; `baselines`. Without `select`, which is a part of `search`, they sum up to all.
    """
    found = dict.fromkeys(("search", "select", "proxy", "winner", "baselines"), 0)
    for spent in spending(record):
        found[spent.asker] += spent.items
    found["search"] += found["select"]
    return found


def spending(record: Record) -> Iterator[Spent]:
    """Yield what each evaluation cost, in the order in which they were made."""
    roles: dict[int, set[tuple[str, str]]] = {}
    for (name, part), number in record.roles().items():
        roles.setdefault(number, set()).add((name.partition(":")[0], part))
    searched = {c.evaluation for c in record.candidates(genomes=False)}
    answered: dict[tuple[str, str], frozenset[str]] = {}
    sets: dict[str, frozenset[str]] = {}
    for number, evaluation in record.evaluations().items():
        asker = "proxy" if evaluation.proxy else _asker(roles.get(number), number in searched)
        new = 0
        if evaluation.status == "ok":
            key = evaluation.item_set
            if key not in sets:
                sets[key] = frozenset(record.items(key))
            subject = (evaluation.recipe, evaluation.protocol)
            known = answered.get(subject, frozenset())
            new = len(sets[key] - known)
            # Of thousands of candidates most answer one set, which they share.
            answered[subject] = known | sets[key] if known else sets[key]
        yield Spent(number, asker, new, sum(evaluation.seconds.values()))


def _asker(roles: set[tuple[str, str]] | None, searched: bool) -> str:
    """Return who asked first, in the order in which a run goes on."""
    names = {name for name, _ in roles or ()}
    if FINALIST.rstrip(":") in names:
        return "select"
    if ("baseline", "search") in (roles or ()):
        return "baselines"
    # Without any name: a step on the way to a candidate's evaluation.
    if searched or not roles:
        return "search"
    return "winner" if "winner" in names else "baselines"
