"""Evaluation with transformers: one live model, merged in place, greedy batches by length."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError
from evoforge.evaluator._live import LiveModel
from evoforge.evaluator.base import Evaluator
from evoforge.models.pool import Pool
from evoforge.record import ItemResult
from evoforge.task.base import PARTS, Item
from evoforge.task.generation import Generation


class Hf(Evaluator):
    """Answers generation tasks with transformers' `generate`.

    Args:
        task: the task.
        pool: the sources, which say the architecture, the tokenizer and the type of the weights.
        batch_size: prompts answered together; halved once if memory runs out.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ...; auto is cuda where there is one.
        attention: as transformers names it: `sdpa`, `eager`, `flash_attention_2`.

    Raises:
        ConfigError: an option makes no sense, or a prompt does not fit into the context.
    """

    def __init__(
        self,
        task: Generation,
        pool: Pool,
        *,
        batch_size: int = 128,
        device: str = "auto",
        attention: str = "sdpa",
    ) -> None:
        super().__init__(task)
        if batch_size < 1:
            raise ConfigError(
                f"batch_size must be at least 1, got {batch_size}; set evaluator.batch_size"
            )
        self._task = task
        self.batch_size = batch_size
        self.tokenizer = pool.tokenizer
        self.live = LiveModel(pool, device=_device(device), attention=attention)
        self._settings = _settings(self.live.model, self.tokenizer, task, pool)
        self._context = pool.reference.config.get("max_position_embeddings")
        self._prompts: dict[str, list[int]] = {}
        for part in PARTS:
            for item in task.items(part):
                self._prompt(item)

    def answer(
        self, candidate: Candidate, items: Sequence[Item], seconds: dict[str, float]
    ) -> list[ItemResult]:
        """Return the result of each item; see `Evaluator.answer`."""
        start = time.perf_counter()
        self.live.write(candidate)
        merged = time.perf_counter()
        seconds["merge"] = merged - start
        answers = self._generate_or_halve(items)
        generated = time.perf_counter()
        seconds["generate"] = generated - merged
        results = [self._result(item, *answers[item.id]) for item in items]
        seconds["score"] = time.perf_counter() - generated
        return results

    def logits(self, candidate: Candidate, items: Sequence[Item]) -> list[torch.Tensor]:
        """Return what a candidate says of every next token; see `Evaluator.logits`."""
        self.live.write(candidate)
        return [_forward(self.live.model, self._prompt(item)) for item in items]

    def logits_of(self, folder: Path, items: Sequence[Item]) -> list[torch.Tensor]:
        """Return what the model of a folder says; see `Evaluator.logits_of`."""
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging as verbosity

        own = self.live.model
        verbosity.disable_progress_bar()
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=own.dtype, attn_implementation=own.config._attn_implementation
        )
        model = model.eval().to(own.device)
        return [_forward(model, self._prompt(item)) for item in items]

    def _generate_or_halve(self, items: Sequence[Item]) -> dict[str, tuple[str, int]]:
        """Generate; if the memory is not enough, once more with half the batch."""
        try:
            return self._generate(items, self.batch_size)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error) or self.batch_size == 1:
                raise
        # Only here, where nothing holds the error any more, is the memory free.
        torch.cuda.empty_cache()
        return self._generate(items, self.batch_size // 2)

    def _result(self, item: Item, completion: str, tokens: int) -> ItemResult:
        metrics = self.task.score(item, completion)
        return ItemResult(item.id, metrics[self.task.metric], metrics, completion, tokens)

    def _generate(self, items: Sequence[Item], batch_size: int) -> dict[str, tuple[str, int]]:
        """Return each item's answer and its number of tokens."""
        answers: dict[str, tuple[str, int]] = {}
        # Prompts of like length together need little padding; equal lengths in the order of ids.
        ordered = sorted(items, key=lambda item: (len(self._prompt(item)), item.id))
        for batch in _batches(ordered, batch_size):
            for item, tokens in zip(batch, self._continue(batch), strict=True):
                text = self.tokenizer.decode(tokens, skip_special_tokens=True)
                answers[item.id] = (_cut(text, self._task.stop), len(tokens))
        return answers

    @torch.inference_mode()
    def _continue(self, batch: Sequence[Item]) -> list[list[int]]:
        prompts = [self._prompt(item) for item in batch]
        width = max(map(len, prompts))
        ids = torch.full((len(batch), width), self._settings.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        device = self.live.model.device
        output = self.live.model.generate(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            generation_config=self._settings,
            tokenizer=self.tokenizer if self._task.stop else None,
        )
        ends = set(self._settings.eos_token_id)
        return [_until(row, ends) for row in output[:, width:].tolist()]

    def _prompt(self, item: Item) -> list[int]:
        if item.id not in self._prompts:
            tokens = self.tokenizer(self.task.prompt(item))["input_ids"]
            room = (self._context or len(tokens)) - len(tokens)
            if self._context and room < self._task.max_new_tokens:
                raise ConfigError(
                    f"the prompt of {item.id} has {len(tokens)} tokens, which leaves {room} of "
                    f"{self._context} for the answer; set task.max_new_tokens"
                )
            self._prompts[item.id] = tokens
        return self._prompts[item.id]


@torch.inference_mode()
def _forward(model: Any, prompt: Sequence[int]) -> torch.Tensor:
    ids = torch.tensor([prompt], device=model.device)
    found: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0].float().cpu()
    return found


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        index = torch.device(wanted).index or 0
    except RuntimeError as error:
        raise ConfigError(
            f"device must be auto, cpu, cuda or cuda:N, got {wanted}; set evaluator.device"
        ) from error
    if wanted.startswith("cuda") and index >= max(1, torch.cuda.device_count()):
        raise ConfigError(
            f"there are {torch.cuda.device_count()} CUDA devices, got {wanted}; "
            "set evaluator.device"
        )
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"there is no CUDA device for evaluator.device={wanted}; set it to cpu")
    return wanted


def _settings(model: Any, tokenizer: Any, task: Generation, pool: Pool) -> Any:
    """Return greedy generation; of the model's own settings only the end tokens are kept."""
    from transformers import GenerationConfig

    given = pool.generation_settings()
    own = model.generation_config if given is None else GenerationConfig.from_dict(given)
    end = own.eos_token_id if own.eos_token_id is not None else tokenizer.eos_token_id
    if end is None:
        raise ConfigError(
            f"{pool.reference.name} names no end token, so no answer would end; "
            "add eos_token_id to its generation_config.json"
        )
    ends = list(end) if isinstance(end, list | tuple) else [end]
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends[0]
    return GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=task.max_new_tokens,
        eos_token_id=ends,
        pad_token_id=pad,
        bos_token_id=own.bos_token_id,
        stop_strings=list(task.stop) or None,
    )


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _until(tokens: list[int], ends: set[int]) -> list[int]:
    """Return the tokens before the first end token."""
    for place, token in enumerate(tokens):
        if token in ends:
            return tokens[:place]
    return tokens


def _cut(text: str, stop: Sequence[str]) -> str:
    places = [place for place in map(text.find, stop) if place >= 0]
    return text[: min(places)] if places else text


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        "can't allocate memory" in str(error) or "not enough memory" in str(error)
    )
