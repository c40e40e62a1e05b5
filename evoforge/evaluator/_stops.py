"""What ends an answer early, asked of its tokens."""

import re
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from evoforge.task.request import Stops

# Cycles of at most so many tokens are looked for, in at least so many tokens.
LONGEST_CYCLE = 48
LEAST_TOKENS = 24
# What a token with a part of a character's bytes decodes to.
_PART = "\N{REPLACEMENT CHARACTER}"
# A point ends a sentence only once something follows that is no digit: 3.14 goes on.
_SENTENCE_END = re.compile(rf"[。!?！？\n]|[.．](?=[^\d{_PART}])")
_MAY_END = frozenset("。!?！？\n.．")

# What each token looks like inside a text, once for all rules of a tokenizer.
_PIECES: WeakKeyDictionary[Any, dict[int, str]] = WeakKeyDictionary()


class StopRule:
    """Says of an answer's tokens whether it is over, and cuts its text.

    Asked after each new token. Tokens are read as texts only where the newest one could end the
    answer by its characters; a phrase needs the whole answer, which is read at ends of sentences.

    Args:
        stops: what ends an answer.
        tokenizer: of the model.
    """

    def __init__(self, stops: Stops, tokenizer: Any) -> None:
        self._stops = stops
        self._decode = tokenizer.decode
        # Special tokens are no part of a text, so a stop text that is one is known by its number.
        self._ends = frozenset(
            number
            for number, token in getattr(tokenizer, "added_tokens_decoder", {}).items()
            if token.special and token.content in stops.texts
        )
        self._pieces = _PIECES.setdefault(tokenizer, {})
        self._last = frozenset(_PART).union(text[-1] for text in stops.texts)
        # A token has at least one byte, save special ones; a stop text never spans more than this.
        self._window = 2 + max((len(text.encode()) for text in stops.texts), default=0)
        self._phrase = None if stops.phrase is None else re.compile(stops.phrase)

    @property
    def ever(self) -> bool:
        """Whether anything could end an answer."""
        return self._stops != Stops()

    def __call__(self, tokens: Sequence[int]) -> str | None:
        """Return `stop`, `repeats` or `phrase` if the newest token ends the answer."""
        if tokens[-1] in self._ends:
            return "stop"
        if self._stops.texts and not self._last.isdisjoint(self._piece(tokens[-1])):
            newest = self._text(tokens[-self._window :])
            if any(text in newest for text in self._stops.texts):
                return "stop"
        if self._stops.repeats is not None and _repeats(tokens, self._stops.repeats):
            return "repeats"
        if self._phrase is not None and any(map(self._may_end, tokens[-2:])):
            return "phrase" if self._sentence_end(self._text(tokens)) is not None else None
        return None

    def cut(self, text: str) -> str:
        """Return an answer's text up to the first stop text, or with the phrase's sentence."""
        places = [place for place in map(text.find, self._stops.texts) if place >= 0]
        end = self._sentence_end(text)
        return text[: min(places + ([] if end is None else [end]), default=len(text))]

    def _sentence_end(self, text: str) -> int | None:
        """Return where the sentence with the phrase ends, or None if it does not."""
        found = self._phrase.search(text) if self._phrase else None
        if found is None:
            return None
        # The phrase may hold the end itself.
        end = _SENTENCE_END.search(text, max(found.start(), found.end() - 1))
        return None if end is None else end.end()

    def _may_end(self, token: int) -> bool:
        piece = self._piece(token)
        return _PART in piece or not _MAY_END.isdisjoint(piece)

    def _piece(self, token: int) -> str:
        """Return a token as text; doubled, since some lose a space at the beginning of a text."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._text((token, token))
        return piece

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self._decode(list(tokens), skip_special_tokens=True))


def _repeats(tokens: Sequence[int], times: int) -> bool:
    """Whether the last tokens are one cycle so many times, and enough of them."""
    newest = tokens[-1]
    for period in range(1, min(LONGEST_CYCLE, len(tokens) - 1) + 1):
        if tokens[-1 - period] != newest:
            continue
        length = max(times, -(-LEAST_TOKENS // period)) * period
        if length <= len(tokens) and all(
            tokens[-i] == tokens[-i - period] for i in range(1, length - period + 1)
        ):
            return True
    return False
