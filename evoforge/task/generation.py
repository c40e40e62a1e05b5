"""Tasks that are answered by generating text, judged by the last number in it."""

from collections.abc import Mapping, Sequence
from typing import Any

from evoforge.errors import ConfigError
from evoforge.task.base import PARTS, Item, ItemSource, Task
from evoforge.task.language import Language
from evoforge.task.metrics import EXTRACTIONS, Extraction, last_number, same_number


class Generation(Task):
    """Greedy generation; right if the last number is the gold one, in the wanted language.

    Metrics of an answer: `acc` (the number is right), and with a language rule `lang` (the
    language is right) and `acc_lang` (both), which then is the main one.

    Args:
        name: what the task is called in tables.
        items: where its items come from.
        prompt: the prompt, with `{question}` once.
        max_new_tokens: the longest answer.
        stop: texts that end an answer; they are cut off.
        extraction: how the number is read: `robust` or `sakana`.
        language: the language rule's options (`code`, `rule`, `threshold`), or None for any.

    Raises:
        ConfigError: an option makes no sense, or the items do not (see `Task`).
    """

    def __init__(
        self,
        *,
        name: str,
        items: ItemSource,
        prompt: str,
        max_new_tokens: int = 256,
        stop: Sequence[str] = (),
        extraction: Extraction = "robust",
        language: Mapping[str, Any] | None = None,
    ) -> None:
        if prompt.count("{question}") != 1:
            raise ConfigError(
                f"prompt must hold {{question}} once, got {prompt!r}; set task.prompt"
            )
        if max_new_tokens < 1:
            raise ConfigError(
                f"max_new_tokens must be at least 1, got {max_new_tokens}; set task.max_new_tokens"
            )
        if isinstance(stop, str) or not all(isinstance(t, str) and t for t in stop):
            raise ConfigError(
                f"stop must be a list of texts that are not empty, got {stop!r}; set task.stop"
            )
        if extraction not in EXTRACTIONS:
            raise ConfigError(
                f"extraction must be one of {', '.join(EXTRACTIONS)}, got {extraction}; "
                "set task.extraction"
            )
        super().__init__(name=name, items=items)
        for part in PARTS:
            for item in self.items(part):
                if item.answer_number is None:
                    raise ConfigError(f"the item {item.id} of {name} has no answer_number")
        self.template = prompt
        self.max_new_tokens = max_new_tokens
        self.stop = tuple(stop)
        self.extraction: Extraction = extraction
        self.language = None if language is None else _language(language)

    @property
    def metric(self) -> str:
        """`acc_lang` with a language rule, else `acc`."""
        return "acc" if self.language is None else "acc_lang"

    @property
    def higher_is_better(self) -> bool:
        """Accuracy is better the higher it is."""
        return True

    @property
    def protocol(self) -> Mapping[str, Any]:
        """The prompt, how answers are generated, and how they are judged."""
        return {
            "task": self.name,
            "kind": "generation",
            "prompt": self.template,
            "decoding": "greedy",
            "max_new_tokens": self.max_new_tokens,
            "stop": list(self.stop),
            "extraction": self.extraction,
            "language": None if self.language is None else self.language.protocol,
            "metric": self.metric,
        }

    def prompt(self, item: Item) -> str:
        """Return the template with the question in it."""
        return self.template.replace("{question}", item.question)

    def score(self, item: Item, completion: str) -> dict[str, float]:
        """Return `acc`, and with a language rule `lang` and `acc_lang`; each 0 or 1."""
        right = same_number(last_number(completion, self.extraction), item.answer_number)
        if self.language is None:
            return {"acc": float(right)}
        spoken = self.language.holds(completion)
        return {"acc": float(right), "lang": float(spoken), "acc_lang": float(right and spoken)}


def _language(options: Mapping[str, Any]) -> Language:
    known = ("code", "rule", "threshold")
    if unknown := sorted(set(options) - set(known)):
        raise ConfigError(
            f"language has the options {', '.join(known)}, got {unknown[0]}; set task.language"
        )
    return Language(**options)
