"""What back ends are asked and what they reply, in tokens; they know nothing of tasks.

A back end holds one live model at a time. What it replies depends on the model and on what it is
asked, never on what else is in the same batch (up to the rounding of sums in the model's type).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

# Returns why an answer is over after its newest token, or None to go on. It must depend on the
# tokens given alone, so that it may be asked after every token or of every prefix afterwards.
Over = Callable[[Sequence[int]], str | None]

END = "end"  # the model wrote an end token
LENGTH = "length"  # the answer came to its limit


@dataclass(frozen=True)
class Sight:
    """A picture in a prompt, as the model's own processor made it.

    Args:
        digest: of the picture; what the vision tower says of it is kept under this name.
        inputs: what the model needs beside tokens and the tower's words, one row each, such as
            the kinds of tokens; by the name of its argument.
        pixels: returns the tower's own inputs, by the name of its argument.
    """

    digest: str
    inputs: Mapping[str, torch.Tensor] = field(compare=False)
    pixels: Callable[[], Mapping[str, torch.Tensor]] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Prompt:
    """Something to be continued by the likeliest tokens.

    Args:
        tokens: of the prompt, at least one.
        limit: new tokens at most, at least 1.
        over: ends the answer early; None for end tokens and the limit alone.
        sight: the picture that it shows; its place in the tokens is filled with tokens for it.
        beams: sequences of a beam search, at least 1.
        repetition_penalty: as transformers has it; 1 for none.
    """

    tokens: tuple[int, ...]
    limit: int
    over: Over | None = None
    sight: Sight | None = None
    beams: int = 1
    repetition_penalty: float = 1.0


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
        sight: the picture that the context shows.
    """

    context: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]
    sight: Sight | None = None


@dataclass(frozen=True)
class Likelihood:
    """How likely a model finds a continuation.

    Args:
        total: the sum of the natural logarithms of its tokens' probabilities.
        greedy: whether each of its tokens is the most likely one.
    """

    total: float
    greedy: bool
