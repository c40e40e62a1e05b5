"""Tasks that are answered by generating text, judged by the last number in it, or by the text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evoforge.errors import ConfigError
from evoforge.task.base import PARTS, Item, ItemSource, Judgement, ReadOnce, Task
from evoforge.task.bootstrap import Bootstrap
from evoforge.task.contexts import Contexts, TooLong, with_answer
from evoforge.task.judges import Form, Judge, Kind, make_judge
from evoforge.task.language import Language
from evoforge.task.limits import Limits
from evoforge.task.metrics import Extraction
from evoforge.task.prompts import prompt_is
from evoforge.task.protocols import JAPANESE, PROTOCOLS, protocol_of, settle
from evoforge.task.request import Generate, Response
from evoforge.task.rouge import Tokens
from evoforge.task.template import Template
from evoforge.task.text_scoring import TextScoring


class Generation(Task):
    """Generation by the likeliest tokens, judged by number or by text, in the wanted language.

    Metrics of an answer: the judge's (`acc`, `exact_match`, `rouge2`, `rougel`); with a language
    rule `lang` (the language is right) and the judge's with `_lang` behind it (both), which then is
    the main one; `comma` (the number read depends on commas, signs and the like) and, without a cap
    at the gold length, `over_length` (it came to the limit). Of a set, where the protocol asks
    for it, also the bootstrap median of its ROUGE (`rougel_bootstrap`, and under a language rule
    `rougel_ja_bootstrap`). An option that is null is the protocol's.

    Args:
        name: what the task is called in tables.
        items: where its items come from.
        prompt: the prompt, with `{question}` once, other fields in braces, and `<image>` once where
            the items have pictures.
        protocol: `robust`, `sakana`, `sakana_vlm` (what `sakana` means for `judge=rougel`) or
            `jp_stable`; see `evoforge.task.protocols`.
        description: what stands before shots and prompt; the system message of a chat.
        shots: `count`, `draw` (`random`, `stratified`, `first`), `seed`, `rows`, `without`, and
            `answer` (what a shot answers, such as `{solution}`); None for none. See `Shots`.
        chat: whether prompts go through the model's chat template.
        special_tokens: whether the tokenizer adds those that it adds by itself.
        too_long: what goes when a prompt does not fit: `shots`, `sentences`, `cut`,
            `shots_then_cut` or `refuse`.
        max_new_tokens: the longest answer.
        gold_length_plus: an answer has at most as many tokens as the longest gold answer and so
            many more; None for no such limit.
        stop: texts that end an answer; they are cut off.
        judge: `number`, `exact_match`, `rouge2` or `rougel`.
        extraction: how a number is read: `robust`, `sakana` or `integer`.
        form: how texts are compared in `exact_match`: `robust` or `ja`.
        tokens: what ROUGE counts: `char`, `mecab`, or the `model`'s tokens.
        language: the language rule's options (`code`, `rule`, `threshold`, `at_least`), or None for
            any language; answers to items whose gold text is in another are exempt.
        beams: sequences of a beam search; 1 for the likeliest token at each step.
        repetition_penalty: what logits of tokens that were there before are divided by (multiplied
            if negative); 1 for none.
        search_stops: what ends an answer early in the search alone: `repeats` (one cycle of tokens
            so many times), `phrase` (a regular expression, with its sentence), `max_new_tokens`.
        proxy: a gold text such as `答えは{answer_number}です。`, whose probability stands in for
            the score where a fitness asks for a cheaper one; or None.

    Raises:
        ConfigError: an option makes no sense, or the items do not (see `Task`).
    """

    def __init__(
        self,
        *,
        name: str,
        items: ItemSource,
        prompt: str,
        protocol: str = "robust",
        description: str = "",
        shots: Mapping[str, Any] | None = None,
        chat: bool = False,
        special_tokens: bool | None = None,
        too_long: TooLong = "shots",
        max_new_tokens: int | None = None,
        gold_length_plus: int | None = None,
        stop: Sequence[str] | None = None,
        judge: Kind = "number",
        extraction: Extraction | None = None,
        form: Form = "robust",
        tokens: Tokens | None = None,
        language: Mapping[str, Any] | None = None,
        beams: int | None = None,
        repetition_penalty: float | None = None,
        search_stops: Mapping[str, Any] | None = None,
        proxy: str | None = None,
    ) -> None:
        asked: dict[str, Any] = {"description": description, "shots": shots, "chat": chat}
        written: dict[str, Any] = {"max_new_tokens": max_new_tokens, "stop": stop, "beams": beams}
        written |= {"gold_length_plus": gold_length_plus, "repetition_penalty": repetition_penalty}
        protocol = protocol_of(protocol, judge)
        spoken = _language_options(language, protocol)
        judged: dict[str, Any] = {"judge": judge, "extraction": extraction, "tokens": tokens}
        judged |= {"language": spoken, "bootstrap": None}
        settled, changed = settle(
            protocol, {**asked, "special_tokens": special_tokens, **written, **judged}
        )
        self._limits = Limits(**{key: settled[key] for key in written}, search_stops=search_stops)
        self._judge = make_judge(judge, settled["extraction"], form, settled["tokens"])
        rule, bootstrap = settled["language"], settled["bootstrap"]
        self.language = None if rule is None else Language(**rule)
        self._bootstrap = None if bootstrap is None else Bootstrap(**bootstrap)
        _check_prompt(prompt)
        items = ReadOnce(items)  # for the proxy
        super().__init__(name=name, items=items)
        _check_gold(self, self._judge, gold_length_plus)
        _check_seen(self, protocol)
        asked |= {"prompt": prompt, "too_long": too_long}
        asked |= {"special_tokens": settled["special_tokens"]}
        asked |= {"shots": with_answer(shots, "{answer}")}
        self._contexts = Contexts(self, items, **asked)
        self._parts["test"] = self._contexts.order("test")
        self._named: dict[str, Any] = {"task": name, "kind": "generation", "protocol": protocol}
        self._named |= {"protocol_changed": changed}
        self._proxy = None
        if proxy is not None:
            _check_proxy(self, proxy)
            self._proxy = TextScoring(name=f"{name}_proxy", items=items, text=proxy, **asked)

    @property
    def metric(self) -> str:
        """The judge's metric, with `_lang` behind it where there is a language rule."""
        return self._judge.metric + ("" if self.language is None else "_lang")

    @property
    def settings(self) -> Mapping[str, Any]:
        """The prompt, how answers are generated, and how they are judged.

        `protocol_changed` lists the options that are not the protocol's; `prompt_is` says whether
        the prompt is a published one, to the letter, or an own one.
        """
        return {
            **self._named,
            **self._contexts.settings,
            "prompt_is": prompt_is(self._contexts.template.text),
            **self._limits.settings,
            **self._judge.settings,
            "language": None if self.language is None else self.language.protocol,
            "metric": self.metric,
            **({"bootstrap": self._bootstrap.settings} if self._bootstrap else {}),
        }

    @property
    def proxy(self) -> TextScoring | None:
        """How likely a gold text is after the same prompts."""
        return self._proxy

    def prepare(self, tokenizer: Any) -> None:
        """Take the models' tokenizer; see `Task.prepare`."""
        super().prepare(tokenizer)
        self._contexts.prepare(tokenizer)
        self._judge.prepare(tokenizer)

    def request(self, item: Item) -> Generate:
        """Return the item's context, to be continued."""
        return self._limits.generate(self._contexts.of(item), item)

    def score(self, item: Item, response: Response) -> dict[str, float]:
        """Return every metric of an answer, each in [0, 1]."""
        found = self._judge.score(item, response.text)
        if self.language is not None:
            spoken = float(self._speaks(item, response.text))
            found |= {"lang": spoken, self.metric: found[self._judge.metric] * spoken}
        if self._limits.gold_length_plus is not None:
            return found  # there, most answers come to the limit, and are meant to
        return {**found, "over_length": float(response.reason == "length")}

    def judge(self, items: Sequence[Item], metrics: Sequence[Mapping[str, float]]) -> Judgement:
        """Return what a set of answers is worth; with medians of ROUGE if the protocol has them."""
        found = super().judge(items, metrics)
        if self._bootstrap is None or not self._judge.metric.startswith("rouge"):
            return found
        named = {f"{self._judge.metric}_bootstrap": self._judge.metric}
        if self.language is not None:
            named[f"{self._judge.metric}_{self.language.code}_bootstrap"] = self.metric
        medians = {
            name: self._bootstrap.median([one[metric] for one in metrics])
            for name, metric in named.items()
        }
        return replace(found, metrics={**found.metrics, **medians})

    def _speaks(self, item: Item, text: str) -> bool:
        """Whether an answer is in the language, or repeats a gold text that is not: UFO."""
        assert self.language is not None
        if self.language.holds(text):
            return True
        return self._judge.metric != "acc" and not self.language.holds(item.answers[0])


def _check_prompt(prompt: str) -> None:
    name = "question" if "{question" in str(prompt) else "input"
    if len(re.findall(rf"{{{name}(?::\w+)?}}", str(prompt))) != 1:
        raise ConfigError(f"prompt must hold {{question}} once, got {prompt!r}; set task.prompt")


def _check_seen(task: Task, protocol: str) -> None:
    """Refuse to call it the published evaluation of pictures where there are none."""
    if protocol == "sakana_vlm" and all(item.picture is None for item in task.items("test")):
        raise ConfigError(
            f"the protocol sakana_vlm (sakana, with judge=rougel) is for items with pictures, and "
            f"those of {task.name} have none; set task.protocol to robust or jp_stable"
        )


def _check_gold(task: Task, judge: Judge, gold_length_plus: int | None) -> None:
    for part in PARTS:
        for item in task.items(part):
            lacking = judge.lacks(item)
            if gold_length_plus is not None and not item.answers:
                lacking = "answers, which gold_length_plus needs"
            if lacking:
                raise ConfigError(f"the item {item.id} of {task.name} has no {lacking}")


def _check_proxy(task: Task, proxy: str) -> None:
    text = Template(proxy, "proxy")
    if not proxy:
        raise ConfigError("proxy must be a text that is not empty, or null; set task.proxy")
    for part in PARTS:
        text.check(task.items(part))


def _language_options(given: Mapping[str, Any] | None, protocol: str) -> dict[str, Any] | None:
    """Return the options of a language rule, with the protocol's where nothing is said."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"language must be a mapping such as {{code: ja}}, got {given!r}; set task.language"
        )
    if unknown := sorted(set(given) - set(JAPANESE)):
        raise ConfigError(
            f"language has the options {', '.join(JAPANESE)}, got {unknown[0]}; set task.language"
        )
    return {**JAPANESE, **PROTOCOLS[protocol].get("language", {}), **given}
