"""Greedy answers of the live model: many prompts at once, and no step for an answer that is over.

Prompts of like length are read together; what they have in common at the start is read once. Each
step then adds one token to every answer in the making. An answer that is over leaves the batch at
once, and prompts that wait take the places of several that left.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice, takewhile
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from evoforge.evaluator._answer import Answer
from evoforge.evaluator._attention import quick_steps
from evoforge.evaluator._by_transformers import by_transformers, is_plain
from evoforge.evaluator._cache import Grid, holds_plain_keys
from evoforge.evaluator._eyes import Eyes, shown
from evoforge.evaluator._forward import logits_at, padded, shifts, stepped, takes
from evoforge.evaluator._packed import packed
from evoforge.evaluator._tokens import Prompt, Reply

log = logging.getLogger(__name__)

# Tokens that are read at once: more are no faster, and take more memory.
READ_TOGETHER = 1024
# Numbers of rows that steps come in.
SIZES = 16
# How far logits may be off by rounding, beside the largest: in 16 bits, and in 32.
ROUNDING = (0.05, 1e-3)
# A shorter beginning in common is not worth a pass of its own.
WORTH_SHARING = 16


class Decoder:
    """Continues prompts greedily with the live model as it is at each call.

    Args:
        model: as transformers builds it; its weights and layers may change between calls.
        ends: tokens that end an answer.
        pad: a token to fill rows with.
        batch_size: answers in the making at once.
        quick: whether single tokens may attend by plain matrix products where `sdpa` is slow.
        eyes: of the model, for prompts that show pictures.
    """

    def __init__(
        self,
        model: Any,
        *,
        ends: Sequence[int],
        pad: int,
        batch_size: int,
        quick: bool = True,
        eyes: Eyes | None = None,
    ) -> None:
        self.model = model
        self.eyes = eyes
        self.batch_size = batch_size
        self._ends = frozenset(ends)
        self._pad = pad
        self._quick = quick

    @torch.inference_mode()
    def generate(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """Return the model's answer to each prompt, in order."""
        mine = self._mine(prompts)
        others = sorted({*range(len(prompts))} - {*mine})
        found: dict[int, Reply] = {}
        if mine:
            with packed(self.model), quick_steps(self.model, self._quick) as quick:
                replies = _Run(self, [prompts[i] for i in mine], quick).replies()
            found |= zip(mine, replies, strict=True)
        if others:
            replies = by_transformers(
                self.model,
                [prompts[i] for i in others],
                ends=sorted(self._ends),
                pad=self._pad,
                batch_size=self.batch_size,
                eyes=self.eyes,
            )
            found |= zip(others, replies, strict=True)
        return [found[i] for i in range(len(prompts))]

    def _mine(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return the places of the prompts that are not left to transformers' own loop."""
        longest = max((len(prompt.tokens) + prompt.limit for prompt in prompts), default=0)
        if not holds_plain_keys(self.model, longest):
            return []
        mine = [i for i, prompt in enumerate(prompts) if is_plain(prompt)]
        seeing = [i for i in mine if prompts[i].sight is not None]
        if not seeing or self._sees_well(prompts[seeing[0]]):
            return mine
        return [i for i in mine if i not in seeing]

    def _sees_well(self, prompt: Prompt) -> bool:
        """Whether steps after a picture are right, for this kind of model; found out once.

        It may give places to tokens, or let them see each other, in ways that are not known here.
        """
        assert self.eyes is not None
        if self.eyes.steps_are_right is None:
            self.eyes.steps_are_right = self._try_step(prompt)
            if self.eyes.steps_are_right is False:
                log.warning("answers to pictures are written by transformers, which takes longer")
        return self.eyes.steps_are_right is not False

    def _try_step(self, prompt: Prompt) -> bool | None:
        """Return whether a step says what one pass says, or None if that shows nothing."""
        with quick_steps(self.model, self._quick) as quick:
            # Two tokens, whatever they are: the step after the first says the second.
            run = _Run(self, [replace(prompt, limit=2, over=None)], quick)
            run.ends = frozenset()
            (reply,) = run.replies()
        text = (*prompt.tokens, reply.tokens[0])
        assert self.eyes is not None
        if reply.tokens[0] == self.eyes.word:
            return None  # with a token for a picture there would be two
        place = torch.tensor([len(text) - 1], device=self.model.device)
        wanted = logits_at(
            self.model,
            torch.tensor([text], device=self.model.device),
            torch.zeros_like(place),
            place,
            use_cache=False,
            **shown(self.eyes, [prompt.sight], len(text)),
        )
        if not bool(wanted.isfinite().all()):
            return None
        most = ROUNDING[wanted.dtype == torch.float32] * wanted.abs().max()
        return bool((run.said - wanted).abs().max() <= most)


class _Run:
    """One call of a decoder: nothing of it is kept."""

    def __init__(self, decoder: Decoder, prompts: Sequence[Prompt], quick: bool) -> None:
        self._model = decoder.model
        self._device = decoder.model.device
        self._placed = takes(decoder.model, "position_ids")
        self.ends, self._pad = decoder._ends, decoder._pad
        # What the model said in the last step.
        self.said = torch.empty(0)
        self._size = min(decoder.batch_size, len(prompts))
        self._grid = Grid(self._size, whole=quick)
        self._active: list[Answer] = []
        self._replies: list[Reply | None] = [None] * len(prompts)
        # The longest are first: if memory does not suffice, that is seen at once.
        waiting = [Answer(place, prompt) for place, prompt in enumerate(prompts)]
        self._waiting = sorted(
            waiting, key=lambda answer: (_sees(answer), len(answer.prompt.tokens))
        )
        self._eyes = decoder.eyes
        self._shared = self._read_shared(prompts)

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

    def _groups(self, free: int) -> Iterator[list[Answer]]:
        """Take prompts from those that wait, as many as there are free rows."""
        while free and self._waiting:
            width = len(self._waiting[-1].prompt.tokens) - self._num_shared
            _, alike = next(groupby(reversed(self._waiting), key=_sees))
            count = sum(1 for _ in islice(alike, max(1, min(free, READ_TOGETHER // width))))
            yield [self._waiting.pop() for _ in range(count)]
            free -= count

    @property
    def _num_shared(self) -> int:
        return 0 if self._shared is None else int(self._shared.get_seq_length())

    def _read_shared(self, prompts: Sequence[Prompt]) -> Any:
        """Return the cache of what all prompts start with, or None; it shows no picture."""
        # Where tokens are of several kinds, places in a text may depend on all of it.
        if any(prompt.sight is not None and prompt.sight.inputs for prompt in prompts):
            return None
        texts = [self._before_picture(prompt) for prompt in prompts]
        columns = zip(*texts, strict=False)
        same = sum(1 for _ in takewhile(lambda column: len({*column}) == 1, columns))
        # A token of each prompt is left, whose logits are needed.
        same = min(same, min(len(prompt.tokens) for prompt in prompts) - 1)
        if len(texts) == 1 or same < WORTH_SHARING:
            return None
        cache = DynamicCache()
        ids = torch.tensor([texts[0][:same]], device=self._device)
        place = torch.zeros(1, dtype=torch.long, device=self._device)
        logits_at(self._model, ids, place, place, past_key_values=cache, use_cache=True)
        return cache

    def _before_picture(self, prompt: Prompt) -> tuple[int, ...]:
        if prompt.sight is None:
            return prompt.tokens
        assert self._eyes is not None
        return prompt.tokens[: prompt.tokens.index(self._eyes.word)]

    def _read(self, group: Sequence[Answer]) -> None:
        """Read prompts, and write the first token of their answers."""
        texts = [answer.prompt.tokens[self._num_shared :] for answer in group]
        ids = padded(texts, self._pad, self._model, before=self._num_shared)
        lasts = torch.tensor([len(text) - 1 for text in texts], device=self._device)
        rows = torch.arange(len(group), device=self._device)
        cache = _repeated(self._shared, len(group))
        seen = shown(self._eyes, [answer.prompt.sight for answer in group], ids.shape[1])
        logits = logits_at(
            self._model, ids, rows, lasts, past_key_values=cache, use_cache=True, **seen
        )
        for answer, shift in zip(group, shifts(self._model, len(group)), strict=True):
            answer.shift = shift
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
            counts = [
                grid.end - start + answer.shift
                for start, answer in zip(grid.starts, self._active, strict=True)
            ] + [0] * idle
            places["position_ids"] = torch.tensor(counts, device=self._device)[:, None]
        logits = self._model(
            input_ids=torch.tensor(newest, device=self._device)[:, None],
            attention_mask=grid.mask(1, self._device, rows),
            past_key_values=grid,
            use_cache=True,
            **places,
        ).logits[: len(self._active), -1]
        self.said = logits
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

    def _over(self, answer: Answer, token: int) -> bool:
        reason = answer.add(token, self.ends)
        if reason is not None:
            self._replies[answer.place] = Reply(tuple(answer.tokens), reason)
        return reason is not None


def _sees(answer: Answer) -> bool:
    return answer.prompt.sight is not None


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
