"""Which licence a merge can name, from those of its sources.

Knows identifiers of the Hub, no law: the conditions of every source go on to bind.
"""

from collections.abc import Iterable

OTHER = "other"
# They allow any use as long as the notice stays; the later asks for more than the one before.
PERMISSIVE = (
    "cc0-1.0",
    "unlicense",
    "isc",
    "mit",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc-by-4.0",
    "apache-2.0",
)


def strictest(licences: Iterable[str | None]) -> str:
    """Return the one licence that asks for no less than any of the others, else `other`.

    Args:
        licences: of the sources, None where it is not known.

    >>> strictest(["mit", "apache-2.0"]), strictest(["mit", "cc-by-nc-4.0"])
    ('apache-2.0', 'cc-by-nc-4.0')
    >>> strictest(["llama3", "gemma"]), strictest(["mit", None])
    ('other', 'other')
    """
    found = [OTHER if licence is None else licence.lower() for licence in licences]
    demanding = {licence for licence in found if licence not in PERMISSIVE}
    if len(demanding) == 1:
        return demanding.pop()
    return OTHER if demanding or not found else max(found, key=PERMISSIVE.index)
