"""Who asked how many items: the searches, the baselines, or the report on the winner.

Reads the record; an item that was answered before was asked by the first who wanted it.
"""

from evoforge.record import FINALIST, Record


def items_by_asker(record: Record) -> dict[str, int]:
    """Return how many items were answered for whom.

    `search`: for candidates and finalists, `select` of them for finalists; `proxy`: by a cheaper
    stand-in for the task, to screen candidates; `winner`: to report on it, beyond what it answered
    before; `baselines`. Without `select`, which is a part of `search`, they sum up to all.
    """
    found = dict.fromkeys(("search", "select", "proxy", "winner", "baselines"), 0)
    roles: dict[int, set[tuple[str, str]]] = {}
    for (name, part), number in record.roles().items():
        roles.setdefault(number, set()).add((name.partition(":")[0], part))
    searched = {c.evaluation for c in record.candidates(genomes=False)}
    answered: dict[tuple[str, str], frozenset[str]] = {}
    sets: dict[str, frozenset[str]] = {}
    # Numbers count from 1 in the order of the evaluations: nothing is ever taken out of a journal.
    for number in range(1, record.count("evaluations") + 1):
        evaluation = record.evaluation(number)
        if evaluation.status != "ok":
            continue
        key = evaluation.item_set
        if key not in sets:
            sets[key] = frozenset(record.items(key))
        subject = (evaluation.recipe, evaluation.protocol)
        known = answered.get(subject, frozenset())
        new = len(sets[key] - known)
        # Of thousands of candidates most answer one set, which they share.
        answered[subject] = known | sets[key] if known else sets[key]
        asker = "proxy" if evaluation.proxy else _asker(roles.get(number), number in searched)
        found[asker] += new
        if asker == "select":
            found["search"] += new
    return found


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
