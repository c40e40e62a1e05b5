"""Evaluation on back ends that take tokens: requests in, responses out, whatever the task.

Knows tasks and the token contract; how a model is run is the back end's affair.
"""

import logging
import math
import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError
from evoforge.evaluator._encode import Encoded, Encoder
from evoforge.evaluator._eyes import on
from evoforge.evaluator._live import LiveModel
from evoforge.evaluator._plain import logits, logits_of
from evoforge.evaluator._tokens import Likelihood, Prompt, Question, Reply
from evoforge.evaluator._views import Views
from evoforge.evaluator.base import Evaluator
from evoforge.models.pool import Pool
from evoforge.record import ItemResult
from evoforge.task.base import PARTS, Item, Task
from evoforge.task.request import Request, Response

log = logging.getLogger(__name__)

# Of each part so many pictures are looked at before the search.
FIRST_PICTURES = 2


class TokenEvaluator(Evaluator):
    """Answers tasks of every kind through `load`, `generate` and `likelihoods`.

    Every item is looked at once, so that a prompt which is too long is known before the search.

    Args:
        task: the task.
        pool: the sources, which say the tokenizer and the window.

    Raises:
        ConfigError: a prompt does not fit into the context, or no answer would ever end.
    """

    # The model that candidates are merged into; a back end may answer by another copy of it.
    live: LiveModel

    def __init__(self, task: Task, pool: Pool) -> None:
        super().__init__(task)
        self.tokenizer = pool.tokenizer
        self.ends = end_tokens(pool, self.tokenizer)
        pad = self.tokenizer.pad_token_id
        self.pad = self.ends[0] if pad is None else pad
        window = pool.window
        views = None if pool.vision is None else Views(pool)
        self._encoder = Encoder(self.tokenizer, end=self.ends[0], window=window, views=views)
        self._encoded: dict[tuple[bool, str], Encoded] = {}
        for asking in filter(None, (task, task.proxy)):
            asking.prepare(self.tokenizer)
            for part in PARTS if asking is task else PARTS[:1]:
                self._look(asking, asking.items(part))
        self._warn(window)

    def _look(self, task: Task, items: Sequence[Item]) -> None:
        """Refuse what cannot be asked; to look at all pictures would take long."""
        faults: dict[str, str] = {}
        for item in items:
            request = task.request(item)
            self.refuse(item, request)
            self._encoder.check(item.id, request, _option(item))
            shown = request.picture
            if shown and shown.digest not in faults and len(faults) < FIRST_PICTURES:
                faults[shown.digest] = self._encode(task, item).fault
            elif not self._encoder.surely_fits(request):
                self._encode(task, item)
        if faults and all(faults.values()):
            raise ConfigError(
                f"the first {len(faults)} pictures of the {items[0].part} part cannot be shown: "
                f"{next(iter(faults.values()))}; set task.items, or models to a vision-language "
                "model that takes such pictures"
            )

    def refuse(self, item: Item, request: Request) -> None:
        """Refuse what the back end cannot be asked; most can be asked all.

        Raises:
            ConfigError: it cannot.
        """
        del item, request

    def _warn(self, window: int | None) -> None:
        """Say which items models cannot read, or answer, in full."""
        for some, what in (
            (self._encoder.cut, "are cut on the left"),
            (self._encoder.shortened, "leave less than task.max_new_tokens for the answer"),
        ):
            if some:
                log.warning(
                    "the prompts of %d items, such as %s, %s: models read %d tokens",
                    len(some),
                    min(some),
                    what,
                    window,
                )

    @abstractmethod
    def load(self, candidate: Candidate) -> None:
        """Make the model that answers the candidate.

        Raises:
            MergeError: a merged tensor is not finite, or has another shape.
        """

    @abstractmethod
    def generate(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """Continue prompts greedily; return the replies in order."""

    @abstractmethod
    def likelihoods(self, questions: Sequence[Question]) -> list[list[Likelihood]]:
        """Return how likely each continuation of each question is, in order."""

    def answer(
        self, task: Task, candidate: Candidate, items: Sequence[Item], seconds: dict[str, float]
    ) -> list[ItemResult]:
        """Return the result of each item; see `Evaluator.answer`."""
        start = time.perf_counter()
        self.load(candidate)
        merged = time.perf_counter()
        seconds["merge"] = merged - start
        responses = self._respond([self._shown(task, item) for item in items])
        generated = time.perf_counter()
        seconds["generate"] = generated - merged
        results = [_result(task, *pair) for pair in zip(items, responses, strict=True)]
        seconds["score"] = time.perf_counter() - generated
        return results

    def logits(self, candidate: Candidate, items: Sequence[Item]) -> list[torch.Tensor]:
        """Return what a candidate says of every next token; see `Evaluator.logits`."""
        self.live.write(candidate)
        shown = [self._encode(self.task, item) for item in items]
        return [logits(self.live.model, one.context, **self._seen(one)) for one in shown]

    def logits_of(self, folder: Path, items: Sequence[Item]) -> list[torch.Tensor]:
        """Return what the model of a folder says; see `Evaluator.logits_of`."""
        shown = [self._encode(self.task, item) for item in items]
        texts = [one.context for one in shown]
        inputs = [self._seen(one) for one in shown]
        return logits_of(folder, self.live.model, texts, inputs, put=self.live.spread.put)

    def _seen(self, one: Encoded) -> dict[str, torch.Tensor]:
        """Return what a model takes for a picture beside tokens, the tower's pixels among it."""
        if one.sight is None:
            return {}
        return on(self.live.model, {**one.sight.inputs, **one.sight.pixels()})

    def _encode(self, task: Task, item: Item) -> Encoded:
        key = (task is self.task, item.id)
        found = self._encoded.get(key)
        if found is None:
            found = self._encoder.encode(item.id, task.request(item), _option(item))
            # Items of the search come again and again; a whole test part would take much memory.
            if item.part == "search":
                self._encoded[key] = found
        return found

    def _shown(self, task: Task, item: Item) -> Encoded:
        """Return an item in tokens; a picture that turns out not to fit fails its item alone."""
        try:
            return self._encode(task, item)
        except ConfigError as error:
            if item.picture is None:
                raise
            fault = f"no picture: {error}"
        log.warning("the item %s gets no answer: %s", item.id, fault)
        found = self._encoded[task is self.task, item.id] = self._encoder.blind(
            task.request(item), fault
        )
        return found

    def _respond(self, encoded: Sequence[Encoded]) -> list[Response]:
        """Return the responses to requests, in order."""
        asked = [one for one in encoded if not one.fault]
        prompts = [one.prompt for one in asked if one.prompt]
        replies = iter(self.generate(prompts) if prompts else ())
        questions = [question for one in asked for question in one.questions]
        likelihoods = iter(self.likelihoods(questions) if questions else ())

        def response(one: Encoded) -> Response:
            if one.fault:
                return self._unanswered(one)
            if one.prompt:
                return self._written(one, next(replies))
            return _compared(one, [next(likelihoods) for _ in one.questions])

        return [response(one) for one in encoded]

    def _unanswered(self, one: Encoded) -> Response:
        """Return what is worth least: nothing written, and no token likelier than any other."""
        if one.prompt:
            return Response(reason=one.fault)
        guess = -math.log(len(self.tokenizer))
        found = [
            [Likelihood(len(tokens) * guess, greedy=False) for tokens in each.continuations]
            for each in one.questions
        ]
        return replace(_compared(one, found), reason=one.fault)

    def _written(self, one: Encoded, reply: Reply) -> Response:
        assert one.rule is not None
        text = one.rule.cut(self.tokenizer.decode(reply.tokens, skip_special_tokens=True))
        return Response(text=text, tokens=len(reply.tokens), reason=reply.reason)


def _option(item: Item) -> str:
    """Return the task of an item as the user names it: a suite's tasks are inside it."""
    return "task" + "".join(f".tasks.{key}" for key in item.stratum.split("/") if key)


def _compared(one: Encoded, found: Sequence[Sequence[Likelihood]]) -> Response:
    lengths = tuple(len(tokens) for question in one.questions for tokens in question.continuations)
    totals = tuple(likelihood.total for some in found for likelihood in some)
    return Response(tokens=sum(lengths), log_likelihoods=totals, lengths=lengths)


def _result(task: Task, item: Item, response: Response) -> ItemResult:
    metrics = task.score(item, response)
    main = metrics[task.metric]
    return ItemResult(item.id, main, metrics, response.text, response.tokens, response.reason)


def end_tokens(pool: Pool, tokenizer: Any) -> tuple[int, ...]:
    """Return the tokens that end an answer, as the reference model's own settings say.

    Raises:
        ConfigError: it names none.
    """
    from transformers import GenerationConfig

    given = pool.generation_settings()
    if given is None:
        given = GenerationConfig.from_model_config(pool.model_config()).to_dict()
    end = given.get("eos_token_id")
    end = tokenizer.eos_token_id if end is None else end
    if end is None:
        raise ConfigError(
            f"{pool.reference.name} names no end token, so no answer would end; "
            "add eos_token_id to its generation_config.json"
        )
    return tuple(end) if isinstance(end, list | tuple) else (end,)
