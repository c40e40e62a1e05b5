"""Training of one miniature model: architecture, batches of like length, cosine schedule.

Knows documents and token ids, not what the documents say nor what the model is for.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import (
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from evoforge.zoo.corpus import Document

# Documents are sorted by length within this many batches.
BATCHES_PER_CHUNK: Final = 50
WARMUP: Final = 0.05


@dataclass(frozen=True)
class Plan:
    """One training run.

    Args:
        steps: number of updates, 1 or more.
        batch_size: documents in an update.
        learning_rate: the peak; warm-up before, cosine to zero after.
        prompt_weight: weight of a prompt token's loss, 0 to learn answers only.
        weight_decay: decoupled, on matrices only.
    """

    steps: int
    batch_size: int
    learning_rate: float
    prompt_weight: float = 0.0
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Batch:
    """Token ids, padded on the right, and the weight of each token's loss, all (batch, length).

    Where documents have a picture each, its pixels are (batch, 3, height, width).
    """

    ids: Tensor
    weights: Tensor
    pixels: Tensor | None = None


def new_model(
    tokenizer: PreTrainedTokenizerBase, *, seed: int, **changes: Any
) -> MistralForCausalLM:
    """Make the untrained miniature Mistral: 8 layers of width 128, 4 heads, 2 of them shared.

    Args:
        tokenizer: gives the size of the vocabulary and the special tokens.
        seed: of the first weights.
        changes: settings of `MistralConfig` that differ.
    """
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 352,
        "num_hidden_layers": 8,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 256,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "initializer_range": 0.05,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return MistralForCausalLM(MistralConfig(**{**settings, **changes}))


def batches(
    documents: Iterator[Document],
    tokenizer: PreTrainedTokenizerBase,
    plan: Plan,
    *,
    seed: str,
) -> Iterator[Batch]:
    """Yield batches of documents of like length, without end."""
    rng = random.Random(seed)
    while True:
        chunk = list(islice(documents, plan.batch_size * BATCHES_PER_CHUNK))
        pieces = sorted(tokenize(chunk, tokenizer, plan.prompt_weight), key=lambda p: len(p[0]))
        groups = [pieces[i : i + plan.batch_size] for i in range(0, len(pieces), plan.batch_size)]
        rng.shuffle(groups)
        for group in groups:
            yield pad_right(group, int(tokenizer.pad_token_id))


def tokenize(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, prompt_weight: float
) -> list[tuple[list[int], list[float]]]:
    """Return token ids and loss weights of every document, from its start to its end token."""
    halves = [half for document in documents for turn in document for half in turn]
    tokens = iter(tokenizer(halves, add_special_tokens=False)["input_ids"])
    pieces = []
    for document in documents:
        ids, weights = [tokenizer.bos_token_id], [0.0]
        for _ in document:
            prompt, answer = next(tokens), next(tokens)
            ids += [*prompt, *answer]
            weights += [prompt_weight] * len(prompt) + [1.0] * len(answer)
        pieces.append(([*ids, tokenizer.eos_token_id], [*weights, 1.0]))
    return pieces


def pad_right(group: list[tuple[list[int], list[float]]], pad: int) -> Batch:
    """Make a batch of tokenized documents."""
    length = max(len(ids) for ids, _ in group)
    ids = torch.full((len(group), length), pad)
    weights = torch.zeros(len(group), length)
    for row, (tokens, token_weights) in enumerate(group):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        weights[row, : len(tokens)] = torch.tensor(token_weights)
    return Batch(ids, weights)


def train(
    model: PreTrainedModel,
    stream: Iterator[Batch],
    plan: Plan,
    *,
    report: Callable[[float], None],
) -> None:
    """Train a model in place, in float32.

    Args:
        model: the model to change.
        stream: its batches.
        plan: the schedule.
        report: called after every step with its loss.
    """
    model.train()
    for step, batch in zip(updates(model, plan), stream, strict=False):
        loss = _loss(model, batch)
        step.take(loss)
        report(loss.item())
    model.eval()


@dataclass(frozen=True)
class Step:
    """One update that is due; `take` makes it."""

    index: int
    take: Callable[[Tensor], None]


def updates(model: nn.Module, plan: Plan) -> Iterator[Step]:
    """Yield the updates of a training run; each has to be given its loss before the next."""
    optimizer = _optimizer(model, plan)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, plan.steps))

    def take(loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()

    for index in range(plan.steps):
        yield Step(index, take)


def _optimizer(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": plan.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(0.9, 0.98), fused=True)


def _rate(step: int, steps: int) -> float:
    warmup = max(1, round(steps * WARMUP))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _loss(model: PreTrainedModel, batch: Batch) -> Tensor:
    # Padding is on the right and attention is causal, so no mask is needed.
    seen = {} if batch.pixels is None else {"pixel_values": batch.pixels}
    logits = model(input_ids=batch.ids[:, :-1], use_cache=False, **seen).logits
    losses = cross_entropy(logits.transpose(1, 2), batch.ids[:, 1:], reduction="none")
    weights = batch.weights[:, 1:]
    return (losses * weights).sum() / weights.sum()
