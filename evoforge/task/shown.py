"""Whether prompts show a picture where items have one: exactly once, and by nothing else.

Knows the mark that stands for a picture; what a model has for one is the evaluator's affair.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from evoforge.errors import ConfigError
from evoforge.task.base import Item
from evoforge.task.request import PICTURE
from evoforge.task.template import Template


def check_shown(
    task: str,
    items: Iterable[Item],
    template: Template,
    description: str,
    fields: Callable[[Item], Mapping[str, Any]],
) -> bool:
    """Return whether items have pictures, which the prompt then shows once.

    Args:
        task: the task's name.
        items: all of its parts.
        template: the prompt.
        description: what stands before it.
        fields: what the prompt names of an item.

    Raises:
        ConfigError: some items have a picture and others none, the prompt shows none, several, or
            one that is not there, or a text of an item holds the mark.
    """
    found = list(items)
    lacking = [item for item in found if item.picture is None]
    marks = (description + template.text).count(PICTURE)
    if len(lacking) == len(found):
        if marks:
            raise ConfigError(
                f"prompt holds {PICTURE}, and the items of {task} have no picture; give each row "
                "an image, or set task.prompt"
            )
        return False
    if lacking:
        raise ConfigError(
            f"the item {lacking[0].id} of {task} has no picture, and others have; give each row an "
            "image, or none: set task.items"
        )
    if marks != 1 or PICTURE in description:
        raise ConfigError(
            f"prompt must hold {PICTURE} once, where a model sees the item's picture, and "
            f"description never; got {template.text!r} and {description!r}: set task.prompt"
        )
    if "image" in template.names:
        raise ConfigError(
            f"prompt names {{image}}; write {PICTURE} where the picture stands: set task.prompt"
        )
    for item in found:
        values = fields(item)
        check_unmarked(item, {name: values.get(name) for name in template.names})
    return True


def check_unmarked(item: Item, values: Mapping[str, Any]) -> None:
    """Refuse texts of an item that hold the mark: a model would look for a second picture.

    Args:
        item: with a picture.
        values: name -> text, or texts.

    Raises:
        ConfigError: a text holds it.
    """
    for name, value in values.items():
        if PICTURE in str(value):
            raise ConfigError(
                f"{name} of the item {item.id} holds {PICTURE}, which stands for its picture in "
                "the prompt; take it out of the row"
            )
