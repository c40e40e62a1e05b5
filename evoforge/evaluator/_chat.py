"""Messages as texts, by the chat template that comes with models."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jinja2 import TemplateError

from evoforge.errors import ConfigError
from evoforge.evaluator._views import Views
from evoforge.task.request import PICTURE

Messages = Sequence[Mapping[str, str]]


def written(tokenizer: Any, messages: Messages, views: Views | None, *, pictured: bool) -> str:
    """Return messages as one text, with the markers of models where they show pictures.

    Templates of models that see take messages in parts, most of them whole texts as well; where one
    loses a part, the other form is tried.

    Args:
        tokenizer: transformers' own.
        messages: role and content of each.
        views: how models see pictures, if they do.
        pictured: whether `PICTURE` in a message stands for a picture.

    Raises:
        ConfigError: the template refuses the messages, or does not write all of them.
    """
    if views is None:
        return _filled(tokenizer, messages)
    error: Exception | None = None
    for form in (_in_parts(messages, pictured), _whole(messages, views.marker, pictured)):
        try:
            text = _filled(tokenizer, form)
        except (ConfigError, TypeError) as refusal:
            error = error or refusal
            continue
        if _is_all_there(text, messages, views, pictured):
            return text
    if isinstance(error, ConfigError):
        raise error
    raise ConfigError(
        "the models' chat template does not write all that the messages hold; set task.chat=false"
    ) from error


def _filled(tokenizer: Any, messages: Sequence[Mapping[str, Any]]) -> str:
    try:
        text: str = tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=True
        )
    except TemplateError as error:
        raise ConfigError(
            f"the models' chat template refuses the messages ({error}); set "
            "task.description='' where it knows no system message, or task.chat=false"
        ) from error
    return text


def _in_parts(messages: Messages, pictured: bool) -> list[dict[str, Any]]:
    return [{**message, "content": [*_parts(message["content"], pictured)]} for message in messages]


def _parts(content: str, pictured: bool) -> Iterator[dict[str, str]]:
    before, marker, after = content.partition(PICTURE) if pictured else (content, "", "")
    if before:
        yield {"type": "text", "text": before}
    if marker:
        yield {"type": "image"}
    if after:
        yield {"type": "text", "text": after}


def _whole(messages: Messages, marker: str, pictured: bool) -> list[dict[str, Any]]:
    return [
        {**m, "content": m["content"].replace(PICTURE, marker) if pictured else m["content"]}
        for m in messages
    ]


def _is_all_there(text: str, messages: Messages, views: Views, pictured: bool) -> bool:
    if pictured and views.stand_in not in text:
        return False
    # Templates that know no parts write them as Python does.
    told = [
        part["text"].strip()
        for message in messages
        for part in _parts(message["content"], pictured)
        if part["type"] == "text"
    ]
    return all(part in text for part in told) and "{'type':" not in text
