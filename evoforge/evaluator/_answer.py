"""An answer in the making, whoever writes it."""

from dataclasses import dataclass, field

from evoforge.evaluator._tokens import END, LENGTH, Prompt


@dataclass
class Answer:
    """An answer in the making.

    Args:
        place: of its prompt among those given.
        prompt: what it answers.
        tokens: so far.
        shift: from the number of a token to its place: a picture may take fewer places than tokens.
    """

    place: int
    prompt: Prompt
    tokens: list[int] = field(default_factory=list)
    shift: int = 0

    def add(self, token: int, ends: frozenset[int]) -> str | None:
        """Take the next token; return why the answer is over, or None."""
        if token in ends:
            return END
        self.tokens.append(token)
        reason = None if self.prompt.over is None else self.prompt.over(self.tokens)
        if reason is None and len(self.tokens) == self.prompt.limit:
            return LENGTH
        return reason
