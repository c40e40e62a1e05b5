"""Texts with places for an item's fields, such as `質問: {question}`.

`{name}` is any field of the data. A list stands one entry a line, or as `{choices:LAYOUT}` says;
`{context:after_sep}` is what follows the last `[SEP]`. Other braces are left alone.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from evoforge.errors import ConfigError
from evoforge.task.base import Item

LISTS: Final[Mapping[str, Callable[[Sequence[str]], str]]] = {
    "lines": "\n".join,
    "comma": ", ".join,
    "dashes": lambda texts: "\n".join(f"- {text}" for text in texts),
    "digits": lambda texts: ",".join(f"{i}.{text}" for i, text in enumerate(texts)),
    "numbers": lambda texts: "\n".join(f"{i}. {text}" for i, text in enumerate(texts, start=1)),
    "letters": lambda texts: "\n".join(f"{chr(65 + i)}. {text}" for i, text in enumerate(texts)),
}
TEXTS: Final[Mapping[str, Callable[[str], str]]] = {
    "after_sep": lambda text: text.rpartition("[SEP]")[2].strip(),
}
# What would tell the model the answer.
GIVEAWAYS: Final = ("answer", "answers", "answer_number", "label", "solution")

# Of the commands of TeX, such as \neq, a small letter follows.
_NO_LINE_END = re.compile(r"\\n(?![a-z])")
_PLACE = re.compile(r"\{([^\W\d]\w*)(?::(\w+))?\}")


class Template:
    """A text with places for fields.

    Args:
        text: the text.
        option: as the user names it, such as `prompt`.
        secret: names that it may not hold, for they give the answer away.

    Raises:
        ConfigError: it is no text, or holds a secret name or an unknown layout.
    """

    def __init__(self, text: str, option: str, *, secret: Collection[str] = ()) -> None:
        if not isinstance(text, str):
            raise ConfigError(f"{option} must be a text, got {text!r}; set task.{option}")
        check_line_ends(text, option)
        self.text = text
        self.option = option
        found = _PLACE.findall(text)
        self.names = tuple(dict.fromkeys(name for name, _ in found))
        if told := sorted(set(self.names) & set(secret)):
            raise ConfigError(
                f"{option} names {{{told[0]}}}, which gives the answer away; set task.{option}"
            )
        known = (*LISTS, *TEXTS)
        for _, layout in found:
            if layout and layout not in known:
                raise ConfigError(
                    f"a layout in {option} must be one of {', '.join(known)}, got {layout}; "
                    f"set task.{option}"
                )

    def fill(self, values: Mapping[str, Any]) -> str:
        """Return the text with values in their places; what they hold is not looked into.

        Args:
            values: of every name; texts, numbers or lists.
        """
        return _PLACE.sub(lambda place: _written(values[place[1]], place[2] or ""), self.text)

    def check(self, items: Iterable[Item], more: Collection[str] = ()) -> None:
        """Refuse a template that some item cannot fill.

        Args:
            items: all that will be filled in.
            more: names that do not come from the items.

        Raises:
            ConfigError: a field is missing, null or an empty text.
        """
        wanted = [name for name in self.names if name not in more]
        for item in items if wanted else ():
            values = fields(item)
            for name in wanted:
                if values.get(name) in (None, ""):
                    has = ", ".join(key for key, value in values.items() if value not in (None, ""))
                    raise ConfigError(
                        f"{self.option} names {{{name}}}, which the item {item.id} does not have; "
                        f"it has {has}: set task.{self.option}"
                    )


def check_line_ends(text: str, option: str) -> None:
    """Refuse a text whose line ends are two characters, as a shell and Hydra pass them on.

    Raises:
        ConfigError: it holds a backslash and an n.
    """
    if _NO_LINE_END.search(text):
        raise ConfigError(
            f"{option} holds a backslash and an n where a line should end; write it into a YAML, "
            f"or in the shell as $'task.{option}=\"...\\n...\"'"
        )


def fields(item: Item) -> dict[str, Any]:
    """Return what a template may name: the item's own fields, and its first answer as `answer`."""
    number = None if item.answer_number is None else plain(item.answer_number)
    return {
        **item.fields,
        "question": item.question,
        "answers": list(item.answers) or None,
        "answer": item.answers[0] if item.answers else number,
        "answer_number": number,
        "choices": list(item.choices) or None,
        "label": item.label,
    }


def plain(number: float) -> str:
    """Return a number as people write it: without an exponent, and whole if it is whole."""
    return str(int(number)) if number.is_integer() else repr(number)


def _written(value: Any, layout: str) -> str:
    if isinstance(value, list | tuple):
        return LISTS.get(layout, LISTS["lines"])([str(each) for each in value])
    return TEXTS[layout](str(value)) if layout in TEXTS else str(value)
