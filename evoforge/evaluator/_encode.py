"""Turns what tasks ask in texts into tokens; knows a tokenizer and a window, but no model."""

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from jinja2 import TemplateError

from evoforge.errors import ConfigError
from evoforge.evaluator._stops import StopRule
from evoforge.evaluator._tokens import Prompt, Question
from evoforge.task.request import Compare, Context, Generate, Request, Stops

# More special tokens than any tokenizer adds by itself.
SPECIAL = 16
# Texts of at most so many characters are encoded once.
SHORT = 32
# The tokens of a context, and of a continuation.
Pair: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Encoded:
    """A request in tokens: a prompt, or questions that hold its continuations in order.

    Args:
        prompt: of a request to generate.
        rule: cuts what was generated.
        questions: of a request to compare; continuations whose context has other tokens than that
            of the one before them begin a new question.
    """

    prompt: Prompt | None = None
    rule: StopRule | None = None
    questions: tuple[Question, ...] = ()

    @property
    def context(self) -> tuple[int, ...]:
        """The tokens before everything that is asked."""
        return self.prompt.tokens if self.prompt else self.questions[0].context


class Encoder:
    """Encodes requests for one tokenizer.

    Args:
        tokenizer: transformers' own.
        end: the token that stands for an empty context.
        window: the tokens that models can read; None for any number.
    """

    def __init__(self, tokenizer: Any, *, end: int, window: int | None) -> None:
        self._tokenizer = tokenizer
        self._end = end
        self._window = window
        self._rules: dict[Stops, StopRule] = {}
        self._short: dict[str, tuple[int, ...]] = {}
        # Items whose prompts leave less than they ask for their answers.
        self.shortened: set[str] = set()
        # Items whose prompts lost their beginning.
        self.cut: set[str] = set()

    def surely_fits(self, request: Request) -> bool:
        """Whether a request is so short that it need not be encoded to know that it can be read.

        No text has more tokens than bytes, beside special ones.
        """
        if request.context.messages:
            return False
        if self._window is None:
            return True
        length = len(request.context.text.encode()) + SPECIAL
        if isinstance(request, Generate):
            return length + request.max_new_tokens <= self._window
        return length + max(len(text.encode()) for text in request.continuations) <= self._window

    def encode(self, item: str, request: Request, task: str = "task") -> Encoded:
        """Return a request's tokens.

        Args:
            item: the item's id, for errors.
            request: what a task asks.
            task: the task as the user names it, for errors.

        Raises:
            ConfigError: it is longer than the window, and may not be cut; or the chat template
                refuses it.
        """
        try:
            if isinstance(request, Generate):
                return self._generate(item, request)
            return self._compare(item, request)
        except ConfigError as error:
            raise ConfigError(re.sub(r"\btask\.", f"{task}.", str(error))) from error

    def _generate(self, item: str, request: Generate) -> Encoded:
        limit = request.max_new_tokens
        if request.no_longer_than:
            longest = max(len(self._plain(text)) for text in request.no_longer_than)
            limit = min(limit, max(1, longest + request.slack))
        tokens = self._fit(item, request.context, limit)
        if self._window is not None and len(tokens) + limit > self._window:
            self.shortened.add(item)
            limit = self._window - len(tokens)
        rule = self._rules.get(request.stops)
        if rule is None:
            rule = self._rules[request.stops] = StopRule(request.stops, self._tokenizer)
        return Encoded(Prompt(tokens, limit, rule if rule.ever else None), rule)

    def _compare(self, item: str, request: Compare) -> Encoded:
        questions: list[Question] = []
        for context, continuation in self._pairs(item, request):
            if not continuation:
                raise ConfigError(
                    f"a continuation of the item {item} has no tokens; set task.items"
                )
            if questions and questions[-1].context == context:
                last = questions.pop()
                questions.append(Question(context, (*last.continuations, continuation)))
            else:
                questions.append(Question(context, (continuation,)))
        return Encoded(questions=tuple(questions))

    def _pairs(self, item: str, request: Compare) -> list[Pair]:
        """Return the tokens of the context and of each continuation, short enough to be read."""
        context: Context | None = request.context
        while context is not None:
            pairs = [self._pair(context, request, text) for text in request.continuations]
            longest = max(len(before) + len(after) for before, after in pairs)
            over = 0 if self._window is None else longest - self._window
            if over <= 0:
                return pairs
            shorter = context.shorter()
            if shorter is None and context.cut and all(len(before) > over for before, _ in pairs):
                self.cut.add(item)
                return [(before[over:], after) for before, after in pairs]
            context = shorter
        raise ConfigError(
            f"the prompt of {item} has {longest} tokens with its longest continuation, and models "
            f"read {self._window}; {_advice(request.context)}"
        )

    def _pair(self, context: Context, request: Compare, continuation: str) -> Pair:
        """Return the tokens of a context and of one continuation."""
        if request.separate or context.messages or not context.text:
            return self._context(context), self._plain(continuation)
        # As one text, since tokens may span the border; what is beyond the context's own tokens
        # counts, and white space at its end belongs to the continuation, as in lm-eval.
        text = context.text.rstrip()
        continuation = context.text[len(text) :] + continuation
        if not text:
            return (self._end,), self._plain(continuation)
        whole = self._tokens(text + continuation, context.special_tokens)
        count = len(self._tokens(text, context.special_tokens))
        return whole[:count], whole[count:]

    def _fit(self, item: str, context: Context, room: int) -> tuple[int, ...]:
        """Return a context's tokens: without pieces as far as the window demands it.

        What cannot be made shorter leaves less room for the answer.
        """
        tokens = self._context(context)
        while self._window is not None and len(tokens) + room > self._window:
            shorter = context.shorter()
            if shorter is None and context.cut:
                # In a small window an answer must not take the place of its question.
                kept = self._window - min(room, self._window // 4)
                if len(tokens) > kept:
                    self.cut.add(item)
                return tokens[-kept:]
            if shorter is None and len(tokens) < self._window:
                return tokens
            if shorter is None:
                raise ConfigError(
                    f"the prompt of {item} has {len(tokens)} tokens, and models read "
                    f"{self._window}; {_advice(context)}"
                )
            context = shorter
            tokens = self._context(context)
        return tokens

    def _context(self, context: Context) -> tuple[int, ...]:
        if context.messages:
            try:
                text = self._tokenizer.apply_chat_template(
                    list(context.messages), tokenize=False, add_generation_prompt=True
                )
            except TemplateError as error:
                raise ConfigError(
                    f"the models' chat template refuses the messages ({error}); set "
                    "task.description='' where it knows no system message, or task.chat=false"
                ) from error
            # The template writes the special tokens itself.
            return self._plain(text)
        return self._tokens(context.text, context.special_tokens) or (self._end,)

    def _plain(self, text: str) -> tuple[int, ...]:
        # Labels and the like come with every item.
        if len(text) > SHORT:
            return self._tokens(text, False)
        if text not in self._short:
            self._short[text] = self._tokens(text, False)
        return self._short[text]

    def _tokens(self, text: str, special: bool) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"])


def _advice(context: Context) -> str:
    """Say what to do with a context that is too long."""
    if context.messages:
        return "set task.shots to fewer, task.prompt, or task.items"
    return "set task.too_long=cut to read its end alone, task.prompt, or task.items"
