"""The live model as lm-eval sees it: wrapped once, its weights change in place.

Imports lm-eval, so it is imported only where that is wanted.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import handle_stop_sequences, has_bos_prefix, normalize_gen_kwargs

from evoforge.errors import ConfigError
from evoforge.evaluator._decode import Decoder
from evoforge.evaluator._likelihood import likelihoods
from evoforge.evaluator._stops import StopRule
from evoforge.evaluator._tokens import Prompt, Question
from evoforge.task.request import Stops

# Settings of generation that say no more than that it is greedy.
GREEDY = {"do_sample", "temperature", "top_p", "top_k"}
# Settings of a model that change greedy answers, with the values that change nothing.
PLAIN = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "num_beams": 1}


class PlainLm(HFLM):  # type: ignore[misc]  # lm-eval has no types
    """lm-eval's own HFLM without its progress bars; nothing is kept between calls.

    Args:
        model: transformers' own.
        tokenizer: of the models.
        batch_size: sequences computed together.
        ends: tokens that end an answer, beside the tokenizer's own end token.
        quick: see `Decoder`; of no account to lm-eval's own loops.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        batch_size: int,
        ends: Sequence[int] = (),
        quick: bool = True,
    ) -> None:
        super().__init__(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
        self._quick = quick
        self._ends = {*ends, tokenizer.eos_token_id} - {None}

    def ask(self, kind: str, instances: Sequence[Any]) -> None:
        """Answer instances of one kind of request, each as often as it wants."""
        asked = [instance for instance in instances for _ in range(instance.repeats or 1)]
        responses = getattr(self, kind)(asked, disable_tqdm=True)
        for instance, response in zip(asked, responses, strict=True):
            instance.resps.append(response)

    def shown(self, instance: Any) -> list[int]:
        """Return the tokens that the model reads for an instance, as far as they fit."""
        text = "".join(part for part in instance.args if isinstance(part, str))
        tokens: list[int] = self.tok_encode(text) or [self.prefix_token_id]
        return tokens[-self.max_length :]

    def _loglikelihood_tokens(self, requests: Any, *args: Any, **kwargs: Any) -> Any:
        del args
        kwargs["disable_tqdm"] = True  # loglikelihood_rolling shows a bar whatever it is told
        return super()._loglikelihood_tokens(requests, **kwargs)


class QuickLm(PlainLm):
    """The same requests, answered by evoforge's own batches.

    What several continuations follow is read once, and an answer that is over takes no more steps.
    Texts become tokens, and are cut to the window, as in HFLM.
    """

    def _loglikelihood_tokens(self, requests: Any, *args: Any, **kwargs: Any) -> Any:
        del args, kwargs
        places: dict[tuple[int, ...], list[int]] = {}
        continuations = []
        for place, (_, context, continuation) in enumerate(requests):
            room = self.max_length + 1 - len(continuation)
            if room < 1:
                raise ConfigError(
                    f"a continuation has {len(continuation)} tokens, more than the window of "
                    f"{self.max_length}; set task.tasks"
                )
            places.setdefault(tuple(context[-room:]), []).append(place)
            continuations.append(tuple(continuation))
        questions = [
            Question(context, tuple(continuations[place] for place in several))
            for context, several in places.items()
        ]
        found = likelihoods(
            self.model,
            questions,
            pad=self.tokenizer.pad_token_id,
            batch_size=self.batch_size,
            quick=self._quick,
        )
        answers: list[Any] = [None] * len(requests)
        for several, likely in zip(places.values(), found, strict=True):
            for place, one in zip(several, likely, strict=True):
                answers[place] = (one.total, one.greedy)
        return answers

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
        """Return what the model writes after each request's context."""
        answers: dict[int, str] = {}
        groups: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(repr(request.args[1]), []).append(place)
        for several in groups.values():
            settings = normalize_gen_kwargs(requests[several[0]].args[1], self.max_gen_toks)
            chosen = [requests[place] for place in several]
            if self._is_plain(settings):
                texts = self._write([request.args[0] for request in chosen], settings)
            else:
                texts = super().generate_until(chosen, disable_tqdm=disable_tqdm)
            answers |= dict(zip(several, texts, strict=True))
        return [answers[place] for place in range(len(requests))]

    def _is_plain(self, settings: Mapping[str, Any]) -> bool:
        """Whether answers are the likeliest tokens, one after the other, and nothing else."""
        own = self.model.generation_config
        unchanged = all(getattr(own, key, None) in (None, value) for key, value in PLAIN.items())
        return unchanged and set(settings) <= GREEDY | {"until", "max_gen_toks"}

    def _write(self, contexts: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
        limit = settings["max_gen_toks"]
        room = self.max_length - limit
        if room < 1:
            raise ConfigError(
                f"an answer of {limit} tokens leaves nothing of the window of {self.max_length}; "
                "set task.max_gen_toks"
            )
        until = handle_stop_sequences(list(settings["until"]), eos=None)
        special = set(self.tokenizer.all_special_tokens)
        ends = {self.tokenizer.convert_tokens_to_ids(text) for text in until if text in special}
        texts = tuple(text for text in until if text and text not in special)
        rule = StopRule(Stops(texts), self.tokenizer)
        decoder = Decoder(
            self.model,
            ends=sorted(self._ends | ends),
            pad=self.tokenizer.pad_token_id,
            batch_size=self.batch_size,
            quick=self._quick,
        )
        replies = decoder.generate(
            [Prompt(self._tokens(context)[-room:], limit, rule) for context in contexts]
        )
        return [rule.cut(self.tok_decode(list(reply.tokens))) for reply in replies]

    def _tokens(self, context: str) -> tuple[int, ...]:
        special = not has_bos_prefix(context, self.tokenizer.bos_token)
        return tuple(self.tokenizer(context, add_special_tokens=special)["input_ids"])
