"""What a task asks of a model for one item, and what comes back; in texts, not tokens.

Evaluators turn requests into tokens and answer them; tasks never see a model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from evoforge.task.picture import Picture

# Where a context shows the item's picture; evaluators put there what the model has for one.
PICTURE = "<image>"
Drop = Literal["first", "last"]


@dataclass(frozen=True)
class Context:
    """What a model reads before it writes, or before a text whose probability is asked for.

    Its text is `head`, then the `pieces`, then `tail`. Pieces are what may be left out should it be
    too long: shots, or sentences.

    Args:
        tail: what must stay, at the end.
        head: what must stay, at the beginning.
        pieces: what may be left out, each with the white space that follows it.
        drop: which piece is left out next: the `first` or the `last`; None: a context that is too
            long is refused.
        cut: whether tokens on the left may be cut off where no piece is left to drop.
        messages: role and content of each message of a chat, instead of the texts; the tokenizer's
            chat template makes a text of them.
        special_tokens: whether the tokenizer adds those that it adds by itself.
    """

    tail: str = ""
    head: str = ""
    pieces: tuple[str, ...] = ()
    drop: Drop | None = None
    cut: bool = False
    messages: tuple[Mapping[str, str], ...] = ()
    special_tokens: bool = True

    @property
    def text(self) -> str:
        """The whole text; of a chat its last message."""
        if self.messages:
            return self.messages[-1]["content"]
        return self.head + "".join(self.pieces) + self.tail

    def shorter(self) -> "Context | None":
        """Return the context without one more of its pieces, or None if nothing may go."""
        if self.drop is not None and self.messages:
            first = int(self.messages[0]["role"] == "system")
            kept = (*self.messages[:first], *self.messages[first + 2 :])
            # A shot is a question and its answer; the last message is what is asked.
            return replace(self, messages=kept) if len(self.messages) > first + 2 else None
        if self.drop is None or not self.pieces:
            return None
        return replace(self, pieces=self.pieces[1:] if self.drop == "first" else self.pieces[:-1])


@dataclass(frozen=True)
class Stops:
    """What ends an answer beside an end token and its limit.

    Args:
        texts: each ends the answer and is cut off.
        repeats: the answer ends when its last tokens are one cycle this many times; None for never.
        phrase: a regular expression; the answer ends with the sentence in which it is found.
    """

    texts: tuple[str, ...] = ()
    repeats: int | None = None
    phrase: str | None = None


@dataclass(frozen=True)
class Generate:
    """Continue a context by the likeliest tokens.

    Args:
        context: the prompt.
        max_new_tokens: the longest answer.
        stops: what else ends it.
        no_longer_than: texts; the answer has at most the tokens of the longest, plus `slack`.
        slack: tokens.
        picture: what the context shows where `PICTURE` stands in it, exactly once.
        beams: sequences of a beam search; 1 for the likeliest token at each step.
        repetition_penalty: what logits of tokens that were there before are divided by (multiplied
            if negative); 1 for none.
    """

    context: Context
    max_new_tokens: int
    stops: Stops = Stops()
    no_longer_than: tuple[str, ...] = ()
    slack: int = 0
    picture: Picture | None = None
    beams: int = 1
    repetition_penalty: float = 1.0


@dataclass(frozen=True)
class Compare:
    """Say how likely each of some continuations of a context is.

    Args:
        context: what comes before; without any text, the end token stands there.
        continuations: at least one, none empty.
        separate: whether context and continuation are tokenised apart, as older harnesses do, or
            as one text.
        picture: what the context shows where `PICTURE` stands in it, exactly once.
    """

    context: Context
    continuations: tuple[str, ...]
    separate: bool = False
    picture: Picture | None = None


Request: TypeAlias = Generate | Compare


@dataclass(frozen=True)
class Response:
    """What a model answered to a request.

    Args:
        text: what it wrote.
        tokens: how many it wrote, or how many of continuations were looked at.
        reason: why it stopped: `end`, `length`, `stop`, `repeats`, `phrase`; or why there is no
            answer.
        log_likelihoods: of each continuation, the sum over its tokens (natural logarithm).
        lengths: the tokens of each continuation.
    """

    text: str = ""
    tokens: int = 0
    reason: str = ""
    log_likelihoods: tuple[float, ...] = ()
    lengths: tuple[int, ...] = ()
