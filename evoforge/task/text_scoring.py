"""Tasks that ask how likely a gold text is: one forward pass for each item, and a smooth score."""

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

from evoforge.errors import ConfigError
from evoforge.task.base import PARTS, Item, ItemSource, Task
from evoforge.task.contexts import Contexts, TooLong, with_answer
from evoforge.task.prompts import prompt_is
from evoforge.task.request import Compare, Response
from evoforge.task.shown import check_unmarked
from evoforge.task.template import Template, fields

Metric = Literal["logprob", "probability"]
METRICS: tuple[Metric, ...] = get_args(Metric)


class TextScoring(Task):
    """The mean log-probability of a gold text's tokens after a prompt.

        logprob = 1/T * sum_t ln p(token_t | prompt, tokens before)     probability = exp(logprob)

    Args:
        name: what the task is called in tables.
        items: where its items come from.
        prompt: what stands before the text, with fields in braces; may be empty.
        text: the gold text, such as `{solution}` or `答えは{answer_number}です。`.
        description: what stands before shots and prompt; the system message of a chat.
        shots: `count`, `draw` (`random`, `stratified`, `first`), `seed`, `rows`, `without`, and
            `answer` (what a shot answers; by itself the text); None for none. See `Shots`.
        chat: whether prompts go through the model's chat template.
        special_tokens: whether the tokenizer adds those that it adds by itself.
        separate: whether prompt and text are tokenised apart.
        too_long: what goes when a prompt does not fit: `shots`, `sentences`, `cut`,
            `shots_then_cut` or `refuse`.
        metric: the main one: `logprob` (at most 0) or `probability` (in (0, 1]).

    Raises:
        ConfigError: an option makes no sense, or the items do not (see `Task`).
    """

    def __init__(
        self,
        *,
        name: str,
        items: ItemSource,
        prompt: str,
        text: str,
        description: str = "",
        shots: Mapping[str, Any] | None = None,
        chat: bool = False,
        special_tokens: bool = True,
        separate: bool = False,
        too_long: TooLong = "shots",
        metric: Metric = "logprob",
    ) -> None:
        if metric not in METRICS:
            raise ConfigError(
                f"metric must be one of {', '.join(METRICS)}, got {metric}; set task.metric"
            )
        if not text:
            raise ConfigError("text must not be empty; set task.text")
        super().__init__(name=name, items=items)
        self._text = Template(text, "text")
        self._metric, self._separate = metric, separate
        for part in PARTS:
            self._text.check(self.items(part))
            for item in self.items(part):
                if item.picture is not None:
                    check_unmarked(item, {"text": self._text.fill(fields(item))})
        self._contexts = Contexts(
            self,
            items,
            prompt=prompt,
            description=description,
            shots=with_answer(shots, text),
            chat=chat,
            special_tokens=special_tokens,
            too_long=too_long,
        )
        self._parts["test"] = self._contexts.order("test")

    @property
    def metric(self) -> str:
        """`logprob` or `probability`."""
        return self._metric

    @property
    def settings(self) -> Mapping[str, Any]:
        """The prompt, the text, and the metric."""
        return {
            "task": self.name,
            "kind": "text_scoring",
            **self._contexts.settings,
            "prompt_is": prompt_is(self._contexts.template.text),
            "text": self._text.text,
            "separate": self._separate,
            "metric": self.metric,
        }

    def prepare(self, tokenizer: Any) -> None:
        """Take the models' tokenizer; see `Task.prepare`."""
        super().prepare(tokenizer)
        self._contexts.prepare(tokenizer)

    def request(self, item: Item) -> Compare:
        """Return the item's context and its gold text."""
        text = self._text.fill(fields(item))
        return Compare(self._contexts.of(item), (text,), self._separate, item.picture)

    def score(self, item: Item, response: Response) -> dict[str, float]:
        """Return `logprob` and `probability`; both of one token on the average."""
        del item
        mean = response.log_likelihoods[0] / response.lengths[0]
        return {"logprob": mean, "probability": math.exp(mean)}
