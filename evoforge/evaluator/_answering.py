"""Evaluation on back ends that take tokens: requests in, responses out, whatever the task.

Knows tasks and the token contract; how a model is run is the back end's affair.
"""

import logging
import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError
from evoforge.evaluator._encode import Encoded, Encoder
from evoforge.evaluator._live import LiveModel
from evoforge.evaluator._plain import logits, logits_of
from evoforge.evaluator._tokens import Likelihood, Prompt, Question, Reply
from evoforge.evaluator.base import Evaluator
from evoforge.models.pool import Pool
from evoforge.record import ItemResult
from evoforge.task.base import PARTS, Item, Task
from evoforge.task.request import Response

log = logging.getLogger(__name__)


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
        window = pool.reference.config.get("max_position_embeddings")
        self._encoder = Encoder(self.tokenizer, end=self.ends[0], window=window)
        self._encoded: dict[tuple[bool, str], Encoded] = {}
        for asking in filter(None, (task, task.proxy)):
            asking.prepare(self.tokenizer)
            for part in PARTS if asking is task else PARTS[:1]:
                for item in asking.items(part):
                    if not self._encoder.surely_fits(asking.request(item)):
                        self._encode(asking, item)
        self._warn(window)

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
        responses = self._respond([self._encode(task, item) for item in items])
        generated = time.perf_counter()
        seconds["generate"] = generated - merged
        results = [_result(task, *pair) for pair in zip(items, responses, strict=True)]
        seconds["score"] = time.perf_counter() - generated
        return results

    def logits(self, candidate: Candidate, items: Sequence[Item]) -> list[torch.Tensor]:
        """Return what a candidate says of every next token; see `Evaluator.logits`."""
        self.live.write(candidate)
        return [logits(self.live.model, self.prompt(item)) for item in items]

    def logits_of(self, folder: Path, items: Sequence[Item]) -> list[torch.Tensor]:
        """Return what the model of a folder says; see `Evaluator.logits_of`."""
        return logits_of(folder, self.live.model, [self.prompt(item) for item in items])

    def prompt(self, item: Item) -> tuple[int, ...]:
        """Return the tokens that an item shows to the model before it answers."""
        return self._encode(self.task, item).context

    def _encode(self, task: Task, item: Item) -> Encoded:
        key = (task is self.task, item.id)
        found = self._encoded.get(key)
        if found is None:
            found = self._encoder.encode(item.id, task.request(item), _option(item))
            # Items of the search come again and again; a whole test part would take much memory.
            if item.part == "search":
                self._encoded[key] = found
        return found

    def _respond(self, encoded: Sequence[Encoded]) -> list[Response]:
        """Return the responses to requests, in order."""
        prompts = [one.prompt for one in encoded if one.prompt]
        replies = iter(self.generate(prompts) if prompts else ())
        questions = [question for one in encoded for question in one.questions]
        likelihoods = iter(self.likelihoods(questions) if questions else ())
        return [
            self._written(one, next(replies))
            if one.prompt
            else _compared(one, [next(likelihoods) for _ in one.questions])
            for one in encoded
        ]

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
