"""Tasks that offer choices: the answer is the one that a model finds most likely."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from evoforge.errors import ConfigError
from evoforge.task.base import PARTS, Item, ItemSource, Judgement, Task
from evoforge.task.classes import balanced_weights, macro_f1, matthews
from evoforge.task.contexts import Contexts, TooLong
from evoforge.task.prompts import prompt_is
from evoforge.task.protocols import settle
from evoforge.task.request import Compare, Response
from evoforge.task.shown import check_unmarked
from evoforge.task.template import Template, fields

Normalise = Literal["none", "tokens", "characters", "bytes"]
NORMALISE: tuple[Normalise, ...] = get_args(Normalise)
Metric = Literal["acc", "balanced_acc"]
METRICS: tuple[Metric, ...] = get_args(Metric)
PLACES = ("choice", "digit", "number", "letter")


class MultipleChoice(Task):
    """The choice with the highest sum of log-likelihoods, right or wrong.

    Metrics of an answer: `acc`, and `choice`, the place of the chosen one. Of a set whose items all
    offer the same choices also `balanced_acc`, the mean of each label's accuracy; `mcc`, Matthews'
    correlation; and `macro_f1`. An option that is null is the protocol's.

    Args:
        name: what the task is called in tables.
        items: where its items come from.
        prompt: what stands before a choice, with fields in braces, such as `{question}` and
            `{choices:dashes}`; may be empty where the choices are whole texts.
        continuation: a choice as it follows the prompt: `{choice}` is its text, `{digit}` its place
            from 0 on, `{number}` from 1 on, `{letter}` from A on; other fields are the item's.
        labels: texts instead of the choices that items hold, in the same order; None for theirs.
        protocol: `robust` or `jp_stable`; see `evoforge.task.protocols`.
        description: what stands before shots and prompt; the system message of a chat.
        shots: `count`, `draw` (`random`, `stratified`, `first`), `seed`, `rows`, `without`; None
            for none. See `Shots`.
        chat: whether prompts go through the model's chat template.
        special_tokens: whether the tokenizer adds those that it adds by itself.
        separate: whether prompt and continuation are tokenised apart.
        too_long: what goes when a prompt does not fit: `shots`, `sentences`, `cut`,
            `shots_then_cut` or `refuse`.
        normalise: what sums are divided by: `none`, or the continuation's `tokens`, or its
            `characters` or `bytes` without white space around it.
        metric: the main one: `acc` or `balanced_acc`.

    Raises:
        ConfigError: an option makes no sense, the items do not (see `Task`), or a part is all one
            label, so that a model which always says so would be right.
    """

    def __init__(
        self,
        *,
        name: str,
        items: ItemSource,
        prompt: str,
        continuation: str = "{choice}",
        labels: Sequence[str] | None = None,
        protocol: str = "robust",
        description: str = "",
        shots: Mapping[str, Any] | None = None,
        chat: bool = False,
        special_tokens: bool | None = None,
        separate: bool | None = None,
        too_long: TooLong = "shots",
        normalise: Normalise = "none",
        metric: Metric = "acc",
    ) -> None:
        asked: dict[str, Any] = {"description": description, "shots": shots, "chat": chat}
        set_together = {"special_tokens": special_tokens, "separate": separate}
        if protocol in ("sakana", "sakana_vlm"):
            raise ConfigError(
                f"the protocol {protocol} is for written answers; set task.protocol to robust or "
                "jp_stable"
            )
        self._settled, self._changed = settle(protocol, {**asked, **set_together})
        _check_one_of(normalise, NORMALISE, "normalise")
        _check_one_of(metric, METRICS, "metric")
        if not isinstance(self._settled["separate"], bool):
            raise ConfigError(
                f"separate must be true or false, got {separate!r}; set task.separate"
            )
        self._normalise, self._metric = normalise, metric
        self._labels = None if labels is None else _texts(labels)
        self._continuation = _following(continuation)
        super().__init__(name=name, items=items)
        self._contexts = Contexts(
            self,
            items,
            **asked,
            prompt=prompt,
            special_tokens=self._settled["special_tokens"],
            too_long=too_long,
            said=lambda shot: self._continuations(shot)[shot.label or 0],
            fields=self._fields,
        )
        self._parts["test"] = self._contexts.order("test")
        self._check_items(self._contexts.pool)
        offered = {item.choices for part in PARTS for item in self.items(part)}
        self._classes = len(offered) == 1
        self._named = {"task": name, "kind": "multiple_choice", "protocol": protocol}

    @property
    def metric(self) -> str:
        """`acc` or `balanced_acc`."""
        return self._metric

    @property
    def settings(self) -> Mapping[str, Any]:
        """The prompt, how choices follow it, and how they are compared."""
        return {
            **self._named,
            "protocol_changed": self._changed,
            **self._contexts.settings,
            "prompt_is": prompt_is(self._contexts.template.text),
            "continuation": self._continuation.text,
            "labels": None if self._labels is None else list(self._labels),
            "separate": self._settled["separate"],
            "normalise": self._normalise,
            "metric": self.metric,
        }

    def prepare(self, tokenizer: Any) -> None:
        """Take the models' tokenizer; see `Task.prepare`."""
        super().prepare(tokenizer)
        self._contexts.prepare(tokenizer)

    def request(self, item: Item) -> Compare:
        """Return the item's context and its choices."""
        continuations = self._continuations(item)
        return Compare(
            self._contexts.of(item), continuations, self._settled["separate"], item.picture
        )

    def score(self, item: Item, response: Response) -> dict[str, float]:
        """Return whether the most likely choice is right, and its place; -1 without an answer.

        Raises:
            ValueError: a log-likelihood is not a number.
        """
        sums = response.log_likelihoods
        if any(map(math.isnan, sums)):
            raise ValueError(f"the log-likelihoods of {item.id} are {sums}")
        scores = [a / b for a, b in zip(sums, self._lengths(item, response), strict=True)]
        chosen = max(range(len(scores)), key=scores.__getitem__)  # the first of equal ones
        if response.reason:  # there is no answer, so by luck it must not be right
            chosen = -1
        right = float(chosen == item.label)
        main = {} if self.metric == "acc" else {self.metric: right}
        return {"acc": right, **main, "choice": float(chosen)}

    def weights(self, items: Sequence[Item]) -> tuple[float, ...]:
        """Return equal weights, or for `balanced_acc` equal sums of weights for each label."""
        if self.metric == "acc":
            return super().weights(items)
        return balanced_weights(_labels(items))

    def judge(self, items: Sequence[Item], metrics: Sequence[Mapping[str, float]]) -> Judgement:
        """Return what the choices of a set are worth together; see `Task.judge`."""
        found = super().judge(items, metrics)
        gold, right = _labels(items), [one["acc"] for one in metrics]
        whole = {name: value for name, value in found.metrics.items() if name != "choice"}
        if self._classes:
            chosen = [int(one["choice"]) for one in metrics]
            weights = balanced_weights(gold)
            whole["balanced_acc"] = sum(w * r for w, r in zip(weights, right, strict=True))
            whole["mcc"] = matthews(gold, chosen)
            whole["macro_f1"] = macro_f1(gold, chosen)
        return Judgement(found.score, found.fitness, whole)

    def _fields(self, item: Item) -> dict[str, Any]:
        return {**fields(item), "choices": list(self._texts(item))}

    def _texts(self, item: Item) -> tuple[str, ...]:
        return item.choices if self._labels is None else self._labels

    def _continuations(self, item: Item) -> tuple[str, ...]:
        own = fields(item)
        return tuple(
            self._continuation.fill({**own, **_place(place), "choice": text})
            for place, text in enumerate(self._texts(item))
        )

    def _lengths(self, item: Item, response: Response) -> Sequence[int]:
        if self._normalise == "tokens":
            return response.lengths
        said = [text.strip() for text in self._continuations(item)]
        if self._normalise == "characters":
            return [len(text) for text in said]
        if self._normalise == "bytes":
            return [len(text.encode()) for text in said]
        return [1] * len(said)

    def _check_items(self, shots: Sequence[Item]) -> None:
        for part in PARTS:
            items = self.items(part)
            self._check_choices(items)
            labels = set(_labels(items))
            if len(items) > 1 and len(labels) == 1:
                label = labels.pop()
                raise ConfigError(
                    f"every item of the {part} part of {self.name} has the label {label} "
                    f"({self._texts(items[0])[label]}), so one answer would always be right; "
                    "set task.items"
                )
        self._check_choices(shots)

    def _check_choices(self, items: Sequence[Item]) -> None:
        for item in items:
            if len(item.choices) < 2 or not all(map(str.strip, item.choices)):
                raise ConfigError(
                    f"the item {item.id} of {self.name} must offer at least 2 choices, none empty; "
                    f"got {list(item.choices)}"
                )
            if self._labels is not None and len(self._labels) != len(item.choices):
                raise ConfigError(
                    f"labels must be as many as the {len(item.choices)} choices of {item.id}, got "
                    f"{len(self._labels)}; set task.labels"
                )
        self._continuation.check(items, more=PLACES)
        for item in items:
            if item.picture is not None:
                check_unmarked(item, {"choices": self._continuations(item)})


def _texts(labels: Sequence[str]) -> tuple[str, ...]:
    listed = isinstance(labels, list | tuple)
    if not listed or not all(isinstance(text, str) and text.strip() for text in labels):
        raise ConfigError(
            f"labels must be texts that are not empty, got {labels!r}; set task.labels"
        )
    if len(set(labels)) < len(labels):
        raise ConfigError(f"labels must differ, got {labels!r}; set task.labels")
    return tuple(labels)


def _following(continuation: str) -> Template:
    made = Template(continuation, "continuation")
    if not set(made.names) & set(PLACES):
        places = ", ".join(f"{{{place}}}" for place in PLACES)
        raise ConfigError(
            f"continuation must hold one of {places}, got {continuation!r}; set task.continuation"
        )
    return made


def _labels(items: Sequence[Item]) -> list[int]:
    return [-1 if item.label is None else item.label for item in items]


def _place(place: int) -> dict[str, str]:
    return {"digit": str(place), "number": str(place + 1), "letter": chr(65 + place)}


def _check_one_of(value: str, known: Sequence[str], option: str) -> None:
    if value not in known:
        raise ConfigError(
            f"{option} must be one of {', '.join(known)}, got {value}; set task.{option}"
        )
