"""Contexts as the texts that a tokenizer is to read, pictures and chats among them."""

from typing import Any

from evoforge.errors import ConfigError
from evoforge.evaluator._chat import written
from evoforge.evaluator._views import View, Views
from evoforge.task.request import PICTURE, Context, Request


class Texts:
    """Turns contexts into texts.

    Args:
        tokenizer: transformers' own, with the chat template.
        views: shows pictures; None for models that see none.
    """

    def __init__(self, tokenizer: Any, views: Views | None) -> None:
        self._tokenizer = tokenizer
        self._views = views

    def check(self, item: str, request: Request) -> None:
        """Make sure that a request's picture can be shown, if it has one, without looking at it.

        Raises:
            ConfigError: models see none, or the context does not say where, or says so twice.
        """
        if request.picture is None:
            return
        if self._views is None:
            raise ConfigError(
                f"{item} shows a picture, and the models see none; set models to sources of "
                "which one is a vision-language model"
            )
        context = request.context
        said = "".join(m["content"] for m in context.messages) if context.messages else context.text
        if said.count(PICTURE) != 1:
            raise ConfigError(
                f"the prompt of {item} shows one picture, and has {PICTURE} {said.count(PICTURE)} "
                "times; set task.prompt or task.items"
            )
        stand_in = self._views.stand_in
        if (found := self.marked(context, pictured=True).count(stand_in)) != 1:
            raise ConfigError(
                f"the prompt of {item} shows one picture, and has {stand_in} {found} times; set "
                "task.prompt or task.items"
            )

    def shown(self, context: Context, view: View | None) -> str:
        """Return a context's text with what stands for its picture, token by token."""
        text = self.marked(context, pictured=view is not None)
        if view is None:
            return text
        assert self._views is not None
        return text.replace(self._views.stand_in, view.text)

    def marked(self, context: Context, *, pictured: bool) -> str:
        """Return a context's text with the models' marker where it shows a picture."""
        if context.messages:
            return written(self._tokenizer, context.messages, self._views, pictured=pictured)
        if not pictured:
            return context.text
        assert self._views is not None
        return context.text.replace(PICTURE, self._views.marker)
