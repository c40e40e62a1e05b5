"""How an answer is written, and when it is over; in the search it may be over sooner."""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from evoforge.errors import ConfigError
from evoforge.task.base import Item
from evoforge.task.request import Context, Generate, Stops
from evoforge.task.template import check_line_ends

SEARCH: Final = ("repeats", "phrase", "max_new_tokens")


class Limits:
    """How answers are written, and what ends them.

    Args:
        max_new_tokens: the longest answer.
        stop: texts that end an answer; they are cut off.
        gold_length_plus: tokens that an answer may have beyond the longest gold answer, or None.
        search_stops: `repeats`, `phrase` and `max_new_tokens` that hold in the search alone.
        beams: sequences of a beam search; 1 for the likeliest token at each step.
        repetition_penalty: what logits of tokens that were there before are divided by.

    Raises:
        ConfigError: an option makes no sense.
    """

    def __init__(
        self,
        *,
        max_new_tokens: int,
        stop: Sequence[str],
        gold_length_plus: int | None,
        search_stops: Mapping[str, Any] | None,
        beams: int = 1,
        repetition_penalty: float = 1.0,
    ) -> None:
        _check_count(max_new_tokens, 1, "max_new_tokens")
        if not isinstance(stop, list | tuple) or not all(isinstance(t, str) and t for t in stop):
            raise ConfigError(
                f"stop must be a list of texts that are not empty, got {stop!r}; set task.stop"
            )
        for text in stop:
            check_line_ends(text, "stop")
        if gold_length_plus is not None:
            _check_count(gold_length_plus, 0, "gold_length_plus")
        _check_count(beams, 1, "beams")
        _check_penalty(repetition_penalty)
        self.beams, self.repetition_penalty = beams, float(repetition_penalty)
        self.max_new_tokens = max_new_tokens
        self.stop = tuple(stop)
        self.gold_length_plus = gold_length_plus
        self.search = _searching(search_stops, max_new_tokens)

    @property
    def settings(self) -> dict[str, Any]:
        """The limits as JSON values; those of the search alone under `search`."""
        return {
            **self._decoding,
            "max_new_tokens": self.max_new_tokens,
            "gold_length_plus": self.gold_length_plus,
            "stop": list(self.stop),
            **({"search": dict(self.search)} if self.search else {}),
        }

    @property
    def _decoding(self) -> dict[str, Any]:
        penalty = self.repetition_penalty
        return {
            **({"decoding": "greedy"} if self.beams == 1 else {"decoding": "beams"}),
            **({} if self.beams == 1 else {"beams": self.beams}),
            **({} if penalty == 1 else {"repetition_penalty": penalty}),
        }

    def generate(self, context: Context, item: Item) -> Generate:
        """Return the request to continue an item's context."""
        early = self.search if item.part == "search" else {}
        most = min(self.max_new_tokens, early.get("max_new_tokens", self.max_new_tokens))
        stops = Stops(self.stop, early.get("repeats"), early.get("phrase"))
        gold = () if self.gold_length_plus is None else item.answers
        return Generate(
            context,
            most,
            stops,
            gold,
            self.gold_length_plus or 0,
            picture=item.picture,
            beams=self.beams,
            repetition_penalty=self.repetition_penalty,
        )


def _searching(given: Mapping[str, Any] | None, most: int) -> dict[str, Any]:
    """Return what ends answers sooner in the search, without what would not."""
    if not isinstance(given or {}, Mapping):
        raise ConfigError(
            f"search_stops must be a mapping such as {{repeats: 4}}, got {given!r}; "
            "set task.search_stops"
        )
    found = {key: value for key, value in (given or {}).items() if value is not None}
    _check_search(found)
    if found.get("max_new_tokens", 0) >= most:
        del found["max_new_tokens"]
    return found


def _check_search(given: Mapping[str, Any]) -> None:
    if unknown := sorted(set(given) - set(SEARCH)):
        raise ConfigError(
            f"search_stops has the options {', '.join(SEARCH)}, got {unknown[0]}; "
            "set task.search_stops"
        )
    if "repeats" in given:
        _check_count(given["repeats"], 2, "search_stops.repeats")
    if "max_new_tokens" in given:
        _check_count(given["max_new_tokens"], 1, "search_stops.max_new_tokens")
    try:
        re.compile(given.get("phrase", ""))
    except (re.error, TypeError) as error:
        raise ConfigError(
            f"phrase must be a regular expression, got {given['phrase']!r} ({error}); "
            "set task.search_stops.phrase"
        ) from error


def _check_penalty(value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= sys.float_info.max:
        raise ConfigError(
            f"repetition_penalty must be a number above 0, got {value!r}; "
            "set task.repetition_penalty"
        )


def _check_count(value: Any, least: int, option: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        name = option.rpartition(".")[2]
        raise ConfigError(f"{name} must be at least {least}, got {value!r}; set task.{option}")
