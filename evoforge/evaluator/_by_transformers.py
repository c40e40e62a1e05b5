"""Answers by transformers' own loop: beams, penalties, and models with other kinds of cache."""

from collections.abc import Hashable, Sequence
from typing import Any

import torch

from evoforge.evaluator._answer import Answer
from evoforge.evaluator._eyes import Eyes, shown
from evoforge.evaluator._forward import takes
from evoforge.evaluator._tokens import END, LENGTH, Prompt, Reply
from evoforge.task.request import Generate


def is_plain(asked: Prompt | Generate) -> bool:
    """Whether the likeliest token at each step is wanted, and nothing else."""
    return asked.beams == 1 and asked.repetition_penalty == 1.0


def by_transformers(
    model: Any,
    prompts: Sequence[Prompt],
    *,
    ends: Sequence[int],
    pad: int,
    batch_size: int,
    eyes: Eyes | None = None,
) -> list[Reply]:
    """Return the model's answers.

    Args:
        model: as transformers builds it.
        prompts: what is to be continued.
        ends: tokens that end an answer.
        pad: a token to fill rows with.
        batch_size: sequences computed together: prompts, or beams of prompts.
        eyes: of the model, for prompts that show pictures.
    """
    answers = [Answer(place, prompt) for place, prompt in enumerate(prompts)]
    waiting = sorted(answers, key=lambda answer: -len(answer.prompt.tokens))
    replies: dict[int, Reply] = {}
    while waiting:
        first = waiting[0].prompt
        # Models without such a cache read padding as if it were text.
        width = None if takes(model, "past_key_values") else len(first.tokens)
        batch = [
            answer
            for answer in waiting
            if _kind(answer.prompt) == _kind(first) and width in (None, len(answer.prompt.tokens))
        ][: max(1, batch_size // first.beams)]
        taken = {answer.place for answer in batch}
        waiting = [answer for answer in waiting if answer.place not in taken]
        write = _by_beams if first.beams > 1 else _greedily
        for answer, reason in zip(batch, write(model, batch, ends, pad, eyes), strict=True):
            replies[answer.place] = Reply(tuple(answer.tokens), reason)
    return [replies[place] for place in range(len(prompts))]


def _kind(prompt: Prompt) -> Hashable:
    """Return what prompts of one batch have in common."""
    # How long beams may get decides which of them win.
    limit = prompt.limit if prompt.beams > 1 else None
    return prompt.sight is not None, prompt.beams, prompt.repetition_penalty, limit


def _greedily(
    model: Any, batch: Sequence[Answer], ends: Sequence[int], pad: int, eyes: Eyes | None
) -> list[str]:
    """Write answers token by token; return why each is over."""
    reasons: list[str | None] = [None] * len(batch)

    def over(ids: torch.Tensor, _: Any, **__: Any) -> torch.Tensor:
        for row, token in enumerate(ids[:, -1].tolist()):
            if reasons[row] is None:
                reasons[row] = batch[row].add(token, frozenset(ends))
        return torch.tensor([reason is not None for reason in reasons], device=ids.device)

    # `over` knows the ends. With none here the model's own would be taken instead, so this is a
    # token that there is not.
    none = model.config.get_text_config().vocab_size
    _generated(model, batch, [none], pad, eyes, stopping_criteria=[over])
    return [reason or LENGTH for reason in reasons]


def _by_beams(
    model: Any, batch: Sequence[Answer], ends: Sequence[int], pad: int, eyes: Eyes | None
) -> list[str]:
    """Write the answers that win beam searches; return why each is over.

    What else ends an answer is asked of the winner: only then it is known.
    """
    reasons = []
    for answer, tokens in zip(batch, _generated(model, batch, ends, pad, eyes), strict=True):
        added = (answer.add(token, frozenset(ends)) for token in tokens)
        reasons.append(next((reason for reason in added if reason is not None), END))
    return reasons


def _generated(
    model: Any,
    batch: Sequence[Answer],
    ends: Sequence[int],
    pad: int,
    eyes: Eyes | None,
    **more: Any,
) -> list[list[int]]:
    """Return the new tokens of each row, filled at their ends."""
    from transformers import GenerationConfig

    prompts = [answer.prompt for answer in batch]
    width = max(len(prompt.tokens) for prompt in prompts)
    before = [width - len(prompt.tokens) for prompt in prompts]
    rows = [
        [*[_filler(prompt, pad, eyes)] * count, *prompt.tokens]
        for prompt, count in zip(prompts, before, strict=True)
    ]
    mask = [[0] * count + [1] * (width - count) for count in before]
    more |= shown(eyes, [prompt.sight for prompt in prompts], width, before)
    found = model.generate(
        input_ids=torch.tensor(rows, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        generation_config=GenerationConfig(
            do_sample=False,
            num_beams=prompts[0].beams,
            repetition_penalty=prompts[0].repetition_penalty,
            max_new_tokens=max(prompt.limit for prompt in prompts),
            eos_token_id=list(ends),
            pad_token_id=pad,
        ),
        **more,
    )
    tokens: list[list[int]] = found[:, width:].tolist()
    return tokens


def _filler(prompt: Prompt, pad: int, eyes: Eyes | None) -> int:
    """Return a token that fills a row without making others less likely: one that it has."""
    if prompt.repetition_penalty == 1.0:
        return pad
    word = None if eyes is None else eyes.word
    return next((token for token in prompt.tokens if token != word), pad)
