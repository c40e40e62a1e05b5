"""What an optimizer said: where its candidates come from, and how it stands after a generation.

Reads origins a generation at a time, because trackers ask for one candidate after the other.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from evoforge.origin import Descent
from evoforge.record import CandidateRecord, Record

MOST = 32  # numbers of an optimizer that are worth a chart


class Lineage:
    """Looks up descents and states.

    Args:
        record: of the run.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._at: tuple[str, int] | None = None
        self._origins: dict[tuple[int, int], Descent] = {}

    def descent(self, candidate: CandidateRecord) -> Descent | None:
        """Return where a candidate comes from; None if its optimizer does not say."""
        at = (candidate.stage, candidate.generation)
        if at != self._at:
            # All of a generation were recorded before the first of them was judged.
            self._at, self._origins = at, self._record.origins(*at)
        return self._origins.get((candidate.generation, candidate.position))

    def state(self, stage: str, generation: int) -> dict[str, float] | None:
        """Return the numbers an optimizer gave after a generation; None if it said nothing (yet).

        Those in nested mappings have joined names; text, lists and what is not finite are left out.
        """
        found = self._record.states(stage, generation).get(generation)
        if found is None:
            return None
        own = {key: value for key, value in found.items() if key != "values"}
        return dict(list(_numbers(own))[:MOST])


def parents(descent: Descent | None) -> str | None:
    """Return a candidate's parents as `generation/position`; None if nobody said."""
    if descent is None:
        return None
    return " ".join(f"{generation}/{position}" for generation, position in descent.parents)


def _numbers(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in content.items():
        # W&B takes a dot for nesting.
        name = prefix + str(key).replace(".", "/")
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{name}/")
        elif isinstance(value, int | float) and math.isfinite(value):
            yield name, value
