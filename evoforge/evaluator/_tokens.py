"""What back ends are asked and what they reply, in tokens; they know nothing of tasks.

A back end holds one live model at a time. What it replies depends on the model and on what it is
asked, never on what else is in the same batch (up to the rounding of sums in the model's type).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Returns why an answer is over after its newest token, or None to go on. It must depend on the
# tokens given alone, so that it may be asked after every token or of every prefix afterwards.
Over = Callable[[Sequence[int]], str | None]

END = "end"  # the model wrote an end token
LENGTH = "length"  # the answer came to its limit


@dataclass(frozen=True)
class Prompt:
    """Something to be continued greedily.

    Args:
        tokens: of the prompt, at least one.
        limit: new tokens at most, at least 1.
        over: ends the answer early; None for end tokens and the limit alone.
    """

    tokens: tuple[int, ...]
    limit: int
    over: Over | None = None


@dataclass(frozen=True)
class Reply:
    """What a model wrote.

    Args:
        tokens: new ones, without the end token.
        reason: `end`, `length`, or what `over` said.
    """

    tokens: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Question:
    """Continuations of one context whose probabilities are asked for.

    Args:
        context: at least one token.
        continuations: each of at least one token.
    """

    context: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Likelihood:
    """How likely a model finds a continuation.

    Args:
        total: the sum of the natural logarithms of its tokens' probabilities.
        greedy: whether each of its tokens is the most likely one.
    """

    total: float
    greedy: bool
