"""Turns what tasks ask in texts into tokens; knows a tokenizer and a window, but no model."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from evoforge.errors import ConfigError
from evoforge.evaluator._stops import StopRule
from evoforge.evaluator._texts import Texts
from evoforge.evaluator._tokens import Prompt, Question, Sight
from evoforge.evaluator._views import UnseenError, View, Views
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
        fault: why nothing can be asked; then prompt or questions hold no context.
    """

    prompt: Prompt | None = None
    rule: StopRule | None = None
    questions: tuple[Question, ...] = ()
    fault: str = ""

    @property
    def context(self) -> tuple[int, ...]:
        """The tokens before everything that is asked."""
        return self.prompt.tokens if self.prompt else self.questions[0].context

    @property
    def sight(self) -> Sight | None:
        """The picture that they show."""
        return self.prompt.sight if self.prompt else self.questions[0].sight


class Encoder:
    """Encodes requests for one tokenizer.

    Args:
        tokenizer: transformers' own.
        end: the token that stands for an empty context.
        window: the tokens that models can read; None for any number.
        views: shows pictures; None for models that see none.
    """

    def __init__(
        self, tokenizer: Any, *, end: int, window: int | None, views: Views | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._end = end
        self._window = window
        self._views = views
        self._texts = Texts(tokenizer, views)
        self._rules: dict[Stops, StopRule] = {}
        self._short: dict[str, tuple[int, ...]] = {}
        # Items whose prompts leave less than they ask for their answers.
        self.shortened: set[str] = set()
        # Items whose prompts lost their beginning.
        self.cut: set[str] = set()

    def surely_fits(self, request: Request) -> bool:
        """Whether a request is so short that it need not be encoded to know that it can be read.

        No text has more tokens than bytes, beside special ones and those of a picture.
        """
        picture = request.picture
        if request.context.messages and picture is None:
            return False
        if self._window is None:
            return True
        text = self._texts.marked(request.context, pictured=picture is not None)
        length = len(text.encode()) + SPECIAL
        if picture is not None and self._views is not None:
            length += self._views.most_tokens(picture)
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
                refuses it; or it shows a picture, and models see none, or not where it says.
        """
        self.check(item, request, task)
        with _named(task):
            view = None
            if request.picture is not None and self._views is not None:
                try:
                    view = self._views.of(request.picture)
                except UnseenError as error:
                    return self.blind(request, str(error))
            if isinstance(request, Generate):
                return self._generate(item, request, view)
            return self._compare(item, request, view)

    def check(self, item: str, request: Request, task: str = "task") -> None:
        """Make sure that a request's picture can be shown, if it has one, without looking at it.

        Raises:
            ConfigError: models see none, or the context does not say where, or says so twice.
        """
        with _named(task):
            self._texts.check(item, request)

    def blind(self, request: Request, fault: str) -> Encoded:
        """Return a request that cannot be asked, with the reason."""
        if isinstance(request, Generate):
            return Encoded(Prompt((self._end,), 1), fault=fault)
        texts = (self._plain(text) or (self._end,) for text in request.continuations)
        return Encoded(questions=(Question((self._end,), tuple(texts)),), fault=fault)

    def _generate(self, item: str, request: Generate, view: View | None) -> Encoded:
        limit = request.max_new_tokens
        if request.no_longer_than:
            longest = max(len(self._plain(text)) for text in request.no_longer_than)
            limit = min(limit, max(1, longest + request.slack))
        tokens = self._fit(item, request.context, limit, view)
        if self._window is not None and len(tokens) + limit > self._window:
            self.shortened.add(item)
            limit = self._window - len(tokens)
        rule = self._rules.get(request.stops)
        if rule is None:
            rule = self._rules[request.stops] = StopRule(request.stops, self._tokenizer)
        prompt = Prompt(
            tokens,
            limit,
            rule if rule.ever else None,
            sight=self._sight(item, view, tokens),
            beams=request.beams,
            repetition_penalty=request.repetition_penalty,
        )
        return Encoded(prompt, rule)

    def _compare(self, item: str, request: Compare, view: View | None) -> Encoded:
        questions: list[Question] = []
        for context, continuation in self._pairs(item, request, view):
            if not continuation:
                raise ConfigError(
                    f"a continuation of the item {item} has no tokens; set task.items"
                )
            if view is not None and self._views is not None and self._views.word in continuation:
                raise ConfigError(
                    f"a continuation of the item {item} has a token for a picture; set task.items"
                )
            if questions and questions[-1].context == context:
                last = questions.pop()
                questions.append(replace(last, continuations=(*last.continuations, continuation)))
            else:
                sight = self._sight(item, view, context)
                questions.append(Question(context, (continuation,), sight))
        return Encoded(questions=tuple(questions))

    def _sight(self, item: str, view: View | None, tokens: tuple[int, ...]) -> Sight | None:
        if view is None:
            return None
        assert self._views is not None
        if (found := tokens.count(self._views.word)) != view.words:
            raise ConfigError(
                f"the prompt of {item} has {found} tokens for pictures, and its picture takes "
                f"{view.words}; set task.prompt or task.items"
            )
        return view.sight(tokens)

    def _pairs(self, item: str, request: Compare, view: View | None) -> list[Pair]:
        """Return the tokens of the context and of each continuation, short enough to be read."""
        context: Context | None = request.context
        while context is not None:
            pairs = [self._pair(context, request, text, view) for text in request.continuations]
            longest = max(len(before) + len(after) for before, after in pairs)
            over = 0 if self._window is None else longest - self._window
            if over <= 0:
                return pairs
            shorter = context.shorter()
            if (
                shorter is None
                and context.cut
                and all(self._may_go(b, over, view) for b, _ in pairs)
            ):
                self.cut.add(item)
                return [(before[over:], after) for before, after in pairs]
            context = shorter
        raise ConfigError(
            f"the prompt of {item} has {longest} tokens with its longest continuation"
            f"{_of_picture(view)}, and models read {self._window}; {_advice(request.context)}"
        )

    def _pair(
        self, context: Context, request: Compare, continuation: str, view: View | None
    ) -> Pair:
        """Return the tokens of a context and of one continuation."""
        if request.separate or context.messages or not context.text:
            return self._context(context, view), self._plain(continuation)
        # As one text, since tokens may span the border; what is beyond the context's own tokens
        # counts, and white space at its end belongs to the continuation, as in lm-eval.
        shown = self._texts.shown(context, view)
        text = shown.rstrip()
        continuation = shown[len(text) :] + continuation
        if not text:
            return (self._end,), self._plain(continuation)
        whole = self._tokens(text + continuation, context.special_tokens)
        count = len(self._tokens(text, context.special_tokens))
        return whole[:count], whole[count:]

    def _may_go(self, tokens: tuple[int, ...], over: int, view: View | None) -> bool:
        """Whether so many tokens at the beginning may be cut off; of a picture none may."""
        if view is None:
            return len(tokens) > over
        assert self._views is not None
        word = self._views.word
        return word in tokens and over <= tokens.index(word) - view.tokens.index(word)

    def _fit(self, item: str, context: Context, room: int, view: View | None) -> tuple[int, ...]:
        """Return a context's tokens: without pieces as far as the window demands it.

        What cannot be made shorter leaves less room for the answer.
        """
        tokens = self._context(context, view)
        while self._window is not None and len(tokens) + room > self._window:
            shorter = context.shorter()
            # In a small window an answer must not take the place of its question.
            over = len(tokens) - self._window + min(room, self._window // 4)
            if shorter is None and context.cut and self._may_go(tokens, over, view):
                if over > 0:
                    self.cut.add(item)
                return tokens[max(0, over) :]
            if shorter is None and len(tokens) < self._window:
                return tokens
            if shorter is None:
                raise ConfigError(
                    f"the prompt of {item} has {len(tokens)} tokens{_of_picture(view)}, and models "
                    f"read {self._window}; {_advice(context)}"
                )
            context = shorter
            tokens = self._context(context, view)
        return tokens

    def _context(self, context: Context, view: View | None) -> tuple[int, ...]:
        text = self._texts.shown(context, view)
        if context.messages:
            # The template writes the special tokens itself.
            return self._plain(text)
        return self._tokens(text, context.special_tokens) or (self._end,)

    def _plain(self, text: str) -> tuple[int, ...]:
        # Labels and the like come with every item.
        if len(text) > SHORT:
            return self._tokens(text, False)
        if text not in self._short:
            self._short[text] = self._tokens(text, False)
        return self._short[text]

    def _tokens(self, text: str, special: bool) -> tuple[int, ...]:
        found = self._tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        if self._views is None:
            return tuple(found)
        # Of a picture's tokens there may be thousands, which are one number.
        word = self._views.word
        return tuple(word if token == word else token for token in found)


@contextmanager
def _named(task: str) -> Iterator[None]:
    """Name the options of a task in errors as the user does."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(re.sub(r"\btask\.", f"{task}.", str(error))) from error


def _of_picture(view: View | None) -> str:
    return "" if view is None else f" ({view.words} of its picture)"


def _advice(context: Context) -> str:
    """Say what to do with a context that is too long."""
    if context.messages:
        return "set task.shots to fewer, task.prompt, or task.items"
    return "set task.too_long=cut to read its end alone, task.prompt, or task.items"
