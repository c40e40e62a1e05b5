"""What a model reads before it answers: a description, shots, and the item in its prompt.

Knows texts and items; how they are scored is the task's affair.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from evoforge.errors import ConfigError
from evoforge.recipe import digest
from evoforge.task.base import PARTS, Item, ItemSource, Part, Task
from evoforge.task.request import Context
from evoforge.task.shots import Shots
from evoforge.task.shown import check_shown
from evoforge.task.template import GIVEAWAYS, Template, check_line_ends, fields

TooLong = Literal["shots", "sentences", "cut", "shots_then_cut", "refuse"]
TOO_LONG: tuple[TooLong, ...] = get_args(TooLong)
# Between a shot and what follows it.
BLANK_LINE = "\n\n"

_SENTENCE = re.compile(r"(?<=[。！？\n])|(?<=[.!?]\s)")


class Contexts:
    """Makes the contexts of a task's items.

    Args:
        task: whose items they are.
        items: where they come from; shots too.
        prompt: how an item is asked, with fields in braces; `{input}` is the question as well, and
            `<image>` stands where the pictures of items are shown.
        description: what stands before shots and prompt, with its own line ends; the system
            message of a chat.
        shots: options of `Shots`, and `answer`, what a shot says; or None.
        chat: whether messages are made for the model's chat template.
        special_tokens: whether the tokenizer adds those that it adds by itself.
        too_long: what goes when a context does not fit: `shots`, from the first on; `sentences`
            of `{context}`, or of `{question}`, from the last on; `cut`, tokens on the left;
            `shots_then_cut`, these after all shots; or `refuse`, nothing.
        said: what a shot says, where the options do not tell.
        fields: what the prompt may name.

    Raises:
        ConfigError: an option makes no sense, an item lacks what the prompt names, or the prompt
            does not show each item's picture once.
    """

    def __init__(
        self,
        task: Task,
        items: ItemSource,
        *,
        prompt: str,
        description: str,
        shots: Mapping[str, Any] | None,
        chat: bool,
        special_tokens: bool,
        too_long: TooLong,
        said: Callable[[Item], str] | None = None,
        fields: Callable[[Item], dict[str, Any]] = fields,
    ) -> None:
        if too_long not in TOO_LONG:
            raise ConfigError(
                f"too_long must be one of {', '.join(TOO_LONG)}, got {too_long}; set task.too_long"
            )
        if not isinstance(description, str):
            raise ConfigError(
                f"description must be a text, got {description!r}; set task.description"
            )
        check_line_ends(description, "description")
        for option, value in (("chat", chat), ("special_tokens", special_tokens)):
            if not isinstance(value, bool):
                raise ConfigError(
                    f"{option} must be true or false, got {value!r}; set task.{option}"
                )
        if chat and too_long not in ("shots", "refuse"):
            raise ConfigError(
                f"a chat cannot be shortened by {too_long}; set task.too_long to shots or refuse"
            )
        if "{question" not in prompt:
            prompt = prompt.replace("{input}", "{question}")
        self.template = Template(prompt, "prompt", secret=GIVEAWAYS)
        self.description, self.chat, self.too_long = description, chat, too_long
        self.special_tokens = special_tokens
        self._fields = fields
        self._items = {part: task.items(part) for part in PARTS}
        self._chat_template: str | None = None
        self.shots: Shots | None = None
        everything = [item for part in PARTS for item in self._items[part]]
        if check_shown(task.name, everything, self.template, description, fields):
            _check_no_shots(shots)
        if shots is not None:
            self._said, self._answer, drawn = _answer(shots, said)
            self.shots = Shots(task.name, items, self._items, **drawn)
            if self._answer is not None:
                self._answer.check(self.pool)
        for found in (*self._items.values(), self.pool):
            self.template.check(found)
        once = [n for n in ("context", "question") if len(re.findall(rf"{{{n}\b", prompt)) == 1]
        self._long = once[0] if once else ""

    @property
    def pool(self) -> tuple[Item, ...]:
        """What shots are drawn from."""
        return () if self.shots is None else self.shots.pool

    def order(self, part: Part) -> tuple[Item, ...]:
        """Return a part's items in the order of the protocol."""
        return self._items[part] if self.shots is None else self.shots.order(part)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the contexts beside the items, as JSON values."""
        return {
            "prompt": self.template.text,
            "description": self.description,
            "shots": self._shots_settings(),
            "chat": self.chat,
            **({"chat_template": self._chat_template} if self._chat_template else {}),
            "special_tokens": self.special_tokens,
            "too_long": self.too_long,
        }

    def of(self, item: Item) -> Context:
        """Return what is read before an item is answered."""
        shots = () if self.shots is None else self.shots.of(item)
        droppable = shots and self.too_long in ("shots", "shots_then_cut")
        drop: Literal["first"] | None = "first" if droppable else None
        if self.chat:
            return Context(messages=self._messages(item, shots), drop=drop)
        told = tuple(self._asked(shot) + self._said(shot) + BLANK_LINE for shot in shots)
        if self.too_long == "sentences" and self._long:
            before, sentences, after = self._split(item)
            head = self.description + "".join(told) + before
            return Context(after, head, sentences, "last", special_tokens=self.special_tokens)
        return Context(
            self._asked(item),
            self.description,
            told,
            drop,
            cut=self.too_long in ("cut", "shots_then_cut"),
            special_tokens=self.special_tokens,
        )

    def prepare(self, tokenizer: Any) -> None:
        """Take a chat's template from the tokenizer: other templates, other prompts.

        Raises:
            ConfigError: it has none.
        """
        if not self.chat:
            return
        template = getattr(tokenizer, "chat_template", None)
        if not template:
            raise ConfigError(
                "chat needs models whose tokenizer has a chat template, and this one has none; "
                "set task.chat=false"
            )
        self._chat_template = digest(template)

    def _shots_settings(self) -> dict[str, Any] | None:
        if self.shots is None:
            return None
        answer = {} if self._answer is None else {"answer": self._answer.text}
        return {**self.shots.settings, **answer}

    def _asked(self, item: Item) -> str:
        return self.template.fill(self._fields(item))

    def _split(self, item: Item) -> tuple[str, tuple[str, ...], str]:
        """Return the prompt before and after the item's long field, and its sentences."""
        values = self._fields(item)
        mark = "\0"
        before, _, after = self.template.fill({**values, self._long: mark}).partition(mark)
        whole = self.template.fill(values)
        text = whole[len(before) : len(whole) - len(after)]
        return before, tuple(part for part in _SENTENCE.split(text) if part), after

    def _messages(self, item: Item, shots: tuple[Item, ...]) -> tuple[dict[str, str], ...]:
        system = [{"role": "system", "content": self.description.strip()}]
        told = [
            {"role": role, "content": text}
            for shot in shots
            for role, text in (("user", self._asked(shot)), ("assistant", self._said(shot)))
        ]
        asked = {"role": "user", "content": self._asked(item)}
        return (*(system if self.description.strip() else []), *told, asked)


def _check_no_shots(shots: Mapping[str, Any] | None) -> None:
    if shots is not None and not (isinstance(shots, Mapping) and shots.get("count") == 0):
        raise ConfigError(
            "shots cannot be shown before an item with a picture, for a prompt shows one picture; "
            "set task.shots=null"
        )


def with_answer(shots: Mapping[str, Any] | None, answer: str) -> dict[str, Any] | None:
    """Return options of shots, with what a shot answers where they do not say."""
    if shots is None:
        return None
    if not isinstance(shots, Mapping):
        raise ConfigError(f"shots must be a mapping or null, got {shots!r}; set task.shots")
    return {"answer": answer, **shots}


def _answer(
    options: Mapping[str, Any], said: Callable[[Item], str] | None
) -> tuple[Callable[[Item], str], Template | None, dict[str, Any]]:
    """Return what a shot says, the template of it if there is one, and the options of `Shots`."""
    known = ("count", "draw", "seed", "rows", "without", *(() if said else ("answer",)))
    if unknown := sorted(set(options) - set(known)):
        raise ConfigError(
            f"shots has the options {', '.join(known)}, got {unknown[0]}; set task.shots"
        )
    if "count" not in options:
        raise ConfigError("shots must say how many; set task.shots.count")
    drawn = {key: value for key, value in options.items() if key != "answer"}
    if said is not None:
        return said, None, drawn
    answer = Template(options["answer"], "shots.answer")
    return lambda shot: answer.fill(fields(shot)), answer, drawn
