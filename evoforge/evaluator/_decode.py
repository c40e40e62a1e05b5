"""Greedy answers of the live model: many prompts at once, and no step for an answer that is over.

Prompts of like length are read together; what they have in common at the start is read once. Each
step then adds one token to every answer in the making. An answer that is over leaves the batch at
once, and prompts that wait take the places of several that left.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from evoforge.evaluator._attention import quick_steps
from evoforge.evaluator._cache import Grid, holds_plain_keys
from evoforge.evaluator._forward import logits_at, padded, stepped, takes
from evoforge.evaluator._tokens import END, LENGTH, Prompt, Reply

# Tokens that are read at once: more are no faster, and take more memory.
READ_TOGETHER = 1024
# Numbers of rows that steps come in.
SIZES = 16
# A shorter beginning in common is not worth a pass of its own.
WORTH_SHARING = 16


@dataclass
class _Answer:
    """An answer in the making.

    Args:
        place: of its prompt among those given.
        prompt: what it answers.
        tokens: so far.
    """

    place: int
    prompt: Prompt
    tokens: list[int] = field(default_factory=list)

    def add(self, token: int, ends: frozenset[int]) -> str | None:
        """Take the next token; return why the answer is over, or None."""
        if token in ends:
            return END
        self.tokens.append(token)
        reason = None if self.prompt.over is None else self.prompt.over(self.tokens)
        if reason is None and len(self.tokens) == self.prompt.limit:
            return LENGTH
        return reason


class Decoder:
    """Continues prompts greedily with the live model as it is at each call.

    Args:
        model: as transformers builds it; its weights and layers may change between calls.
        ends: tokens that end an answer.
        pad: a token to fill rows with.
        batch_size: answers in the making at once.
        quick: whether single tokens may attend by plain matrix products where `sdpa` is slow.
    """

    def __init__(
        self, model: Any, *, ends: Sequence[int], pad: int, batch_size: int, quick: bool = True
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self._ends = frozenset(ends)
        self._pad = pad
        self._quick = quick

    @torch.inference_mode()
    def generate(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """Return the model's answer to each prompt, in order."""
        if not prompts:
            return []
        longest = max(len(prompt.tokens) + prompt.limit for prompt in prompts)
        if not holds_plain_keys(self.model, longest):
            return by_transformers(
                self.model, prompts, sorted(self._ends), self._pad, self.batch_size
            )
        with quick_steps(self.model) if self._quick else nullcontext(False) as quick:
            return _Run(self, prompts, quick).replies()


class _Run:
    """One call of a decoder: nothing of it is kept."""

    def __init__(self, decoder: Decoder, prompts: Sequence[Prompt], quick: bool) -> None:
        self._model = decoder.model
        self._device = decoder.model.device
        self._placed = takes(decoder.model, "position_ids")
        self._ends, self._pad = decoder._ends, decoder._pad
        self._size = min(decoder.batch_size, len(prompts))
        self._grid = Grid(self._size, whole=quick)
        self._active: list[_Answer] = []
        self._replies: list[Reply | None] = [None] * len(prompts)
        # The longest are first: if memory does not suffice, that is seen at once.
        waiting = [_Answer(place, prompt) for place, prompt in enumerate(prompts)]
        self._waiting = sorted(waiting, key=lambda answer: len(answer.prompt.tokens))
        self._shared = self._read_shared([prompt.tokens for prompt in prompts])

    def replies(self) -> list[Reply]:
        """Return all replies."""
        # A few more rows cost a step little, and reading prompts one by one costs much.
        enough = max(1, self._size // 8)
        while self._waiting or self._active:
            while self._waiting and (free := self._size - len(self._active)) >= enough:
                for group in self._groups(free):
                    self._read(group)
            if self._active:
                self._step()
        return [reply for reply in self._replies if reply is not None]

    def _groups(self, free: int) -> Iterator[list[_Answer]]:
        """Take prompts from those that wait, as many as there are free rows."""
        while free and self._waiting:
            width = len(self._waiting[-1].prompt.tokens) - self._num_shared
            count = max(1, min(free, len(self._waiting), READ_TOGETHER // width))
            yield [self._waiting.pop() for _ in range(count)]
            free -= count

    @property
    def _num_shared(self) -> int:
        return 0 if self._shared is None else int(self._shared.get_seq_length())

    def _read_shared(self, texts: Sequence[tuple[int, ...]]) -> Any:
        """Return the cache of what all prompts start with, or None."""
        columns = zip(*texts, strict=False)
        same = sum(1 for _ in takewhile(lambda column: len({*column}) == 1, columns))
        # A token of each prompt is left, whose logits are needed.
        same = min(same, min(map(len, texts)) - 1)
        if len(texts) == 1 or same < WORTH_SHARING:
            return None
        cache = DynamicCache()
        ids = torch.tensor([texts[0][:same]], device=self._device)
        place = torch.zeros(1, dtype=torch.long, device=self._device)
        logits_at(self._model, ids, place, place, past_key_values=cache, use_cache=True)
        return cache

    def _read(self, group: Sequence[_Answer]) -> None:
        """Read prompts, and write the first token of their answers."""
        texts = [answer.prompt.tokens[self._num_shared :] for answer in group]
        ids = padded(texts, self._pad, self._model, before=self._num_shared)
        lasts = torch.tensor([len(text) - 1 for text in texts], device=self._device)
        rows = torch.arange(len(group), device=self._device)
        cache = _repeated(self._shared, len(group))
        logits = logits_at(self._model, ids, rows, lasts, past_key_values=cache, use_cache=True)
        going = [
            (row, answer)
            for row, (answer, token) in enumerate(zip(group, _best(logits), strict=True))
            if not self._over(answer, token)
        ]
        if going:
            lengths = [len(answer.prompt.tokens) for _, answer in going]
            self._grid.admit(cache, [row for row, _ in going], lengths)
            self._active += [answer for _, answer in going]

    def _step(self) -> None:
        """Write one token of every answer in the making."""
        grid = self._grid
        grid.reserve(1)
        # Idle rows, so that the number of rows comes in few sizes; see `padded`.
        rows = min(self._size, stepped(len(self._active), max(1, self._size // SIZES)))
        idle = rows - len(self._active)
        newest = [answer.tokens[-1] for answer in self._active] + [self._pad] * idle
        places = {}
        if self._placed:
            counts = [grid.end - start for start in grid.starts] + [0] * idle
            places["position_ids"] = torch.tensor(counts, device=self._device)[:, None]
        logits = self._model(
            input_ids=torch.tensor(newest, device=self._device)[:, None],
            attention_mask=grid.mask(1, self._device, rows),
            past_key_values=grid,
            use_cache=True,
            **places,
        ).logits[: len(self._active), -1]
        grid.advance(1)
        over = [
            row
            for row, (answer, token) in enumerate(zip(self._active, _best(logits), strict=True))
            if self._over(answer, token)
        ]
        for row in reversed(over):
            grid.drop(row)
            last = self._active.pop()
            if row < len(self._active):
                self._active[row] = last

    def _over(self, answer: _Answer, token: int) -> bool:
        reason = answer.add(token, self._ends)
        if reason is not None:
            self._replies[answer.place] = Reply(tuple(answer.tokens), reason)
        return reason is not None


def _best(logits: torch.Tensor) -> list[int]:
    """Return the most likely token of each row."""
    # In float32, of which it is found four times as fast as of bfloat16.
    found: list[int] = logits.float().argmax(dim=-1).tolist()
    return found


def _repeated(cache: Any, rows: int) -> DynamicCache:
    """Return a cache of so many rows that all have what a cache of one row has."""
    if cache is None:
        return DynamicCache()
    return DynamicCache(
        [
            (layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1))
            for layer in cache.layers
        ]
    )


def by_transformers(
    model: Any, prompts: Sequence[Prompt], ends: Sequence[int], pad: int, batch_size: int
) -> list[Reply]:
    """Return the model's answers by transformers' own loop, for models with other kinds of cache.

    Args:
        model: as transformers builds it.
        prompts: what is to be continued.
        ends: tokens that end an answer.
        pad: a token to fill rows with.
        batch_size: prompts in a batch.
    """
    answers = [_Answer(place, prompt) for place, prompt in enumerate(prompts)]
    waiting = sorted(answers, key=lambda answer: -len(answer.prompt.tokens))
    replies: dict[int, Reply] = {}
    while waiting:
        batch = waiting[:batch_size]
        if not takes(model, "past_key_values"):
            # Such models read padding as if it were text.
            width = len(batch[0].prompt.tokens)
            batch = [answer for answer in batch if len(answer.prompt.tokens) == width]
        waiting = waiting[len(batch) :]
        for answer, reason in zip(batch, _generated(model, batch, ends, pad), strict=True):
            replies[answer.place] = Reply(tuple(answer.tokens), reason)
    return [replies[place] for place in range(len(prompts))]


def _generated(model: Any, batch: Sequence[_Answer], ends: Sequence[int], pad: int) -> list[str]:
    from transformers import GenerationConfig

    texts = [answer.prompt.tokens for answer in batch]
    width = max(map(len, texts))
    ids = torch.tensor([[*[pad] * (width - len(text)), *text] for text in texts])
    mask = torch.tensor([[0] * (width - len(text)) + [1] * len(text) for text in texts])
    reasons: list[str | None] = [None] * len(batch)

    def over(ids: torch.Tensor, _: Any, **__: Any) -> torch.Tensor:
        for row, token in enumerate(ids[:, -1].tolist()):
            if reasons[row] is None:
                reasons[row] = batch[row].add(token, frozenset(ends))
        return torch.tensor([reason is not None for reason in reasons], device=ids.device)

    model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        generation_config=GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=max(answer.prompt.limit for answer in batch),
            # `over` knows the ends. With none here the model's own would be taken instead, so this
            # is a token that there is not.
            eos_token_id=[model.config.get_text_config().vocab_size],
            pad_token_id=pad,
        ),
        stopping_criteria=[over],
    )
    return [reason or LENGTH for reason in reasons]
