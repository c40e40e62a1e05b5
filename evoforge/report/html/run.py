"""One run as its page sees it: what several sections need, read once.

Reads the record; writes no HTML.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from evoforge.evaluation import Evaluation
from evoforge.record import BASELINE, WINNER, Record
from evoforge.report.history import History, histories, winner
from evoforge.report.result import build
from evoforge.report.summary import Row, Scale, best_source, higher, in_percent, metric, rows


class Run:
    """A run as far as it got.

    Args:
        record: of the run.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self.result: Mapping[str, Any] = build(record)
        self.stages: list[History] = histories(record)

    @cached_property
    def scale(self) -> Scale:
        """How scores are written."""
        return Scale(in_percent(self.result))

    @cached_property
    def metric(self) -> str:
        """The metric with its unit, as an axis names it."""
        unit = ", percent" if self.scale.percent else ""
        return f"{metric(self.result)}{unit}{'' if self.higher else ' (lower is better)'}"

    @property
    def higher(self) -> bool:
        """Whether higher scores are better."""
        return higher(self.result)

    @cached_property
    def rows(self) -> list[Row]:
        """The sources, the merges nobody searched for, and the winner."""
        return rows(self.result)

    @cached_property
    def best_source(self) -> str | None:
        """The name of the best source."""
        return best_source(self.result)

    def shown(self, score: float | None) -> float | None:
        """Return a score as charts show it: in percent where that makes sense; None for none."""
        if score is None or score != score:
            return None
        return round(100 * score, 2) if self.scale.percent else float(f"{score:.5g}")

    def number(self, name: str, part: str) -> int | None:
        """Return the number of the evaluation of a baseline, or of `winner`, on a part."""
        role = name if name == WINNER else f"{BASELINE}{name}"
        return self.record.roles().get((role, part))

    @cached_property
    def tested(self) -> dict[str, Evaluation]:
        """What the models of the test table answered, by the name of their role, winner last.

        Models that failed there are left out.
        """
        names = [*self.result["baselines"], WINNER]
        numbers = {name: self.number(name, "test") for name in names}
        read = {
            name: self.record.evaluation(number, with_items=True)
            for name, number in numbers.items()
            if number is not None
        }
        return {name: found for name, found in read.items() if found.results}

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources."""
        return tuple(source["name"] for source in self.result["sources"])

    def winner(self, history: History) -> int | None:
        """Return the winner's position among a stage's candidates; None if it is none of them."""
        return winner(self.record, history)
