"""Training of one adapter on a frozen base: batches of like length, loss on answers only.

Knows documents, token ids and peft; not what the documents say nor what the adapter is for.
"""

import math
import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerBase

from evoforge.zoo.corpus import Document
from evoforge.zoo.train import Batch, Plan

# Documents are sorted by length within this many batches.
BATCHES_PER_CHUNK: Final = 10
WARMUP: Final = 0.1

Piece = tuple[list[int], list[float]]


def with_adapter(base: Any, *, rank: int, alpha: int, base_id: str, seed: int) -> Any:
    """Put a fresh adapter on every linear layer of a base, which freezes the base.

    Args:
        base: a transformers causal language model; it is changed.
        rank: inner dimension of each layer's adapter.
        alpha: the adapter acts with the factor alpha / rank.
        base_id: what the adapter says it belongs to.
        seed: of the first values; the adapter does nothing until it is trained.
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, config)
    # peft writes the folder that the base came from, which is of no use to others.
    model.peft_config["default"].base_model_name_or_path = base_id
    return model


def encode(document: Document, tokenizer: PreTrainedTokenizerBase) -> Piece:
    """Return token ids and loss weights of one document, its end token last.

    Prompts are encoded as the tasks encode them, so that training and judging see the same tokens.
    """
    ids: list[int] = []
    weights: list[float] = []
    for place, turn in enumerate(document):
        prompt = tokenizer(turn.prompt, add_special_tokens=place == 0)["input_ids"]
        answer = tokenizer(turn.answer, add_special_tokens=False)["input_ids"]
        ids += [*prompt, *answer]
        weights += [0.0] * len(prompt) + [1.0] * len(answer)
    return [*ids, int(tokenizer.eos_token_id)], [*weights, 1.0]


def batches(
    documents: Iterator[Document], tokenizer: PreTrainedTokenizerBase, size: int, *, seed: str
) -> Iterator[Batch]:
    """Yield batches of `size` documents of like length, without end."""
    rng = random.Random(seed)
    while True:
        chunk = islice(documents, size * BATCHES_PER_CHUNK)
        pieces = sorted((encode(d, tokenizer) for d in chunk), key=lambda piece: len(piece[0]))
        groups = [pieces[start : start + size] for start in range(0, len(pieces), size)]
        rng.shuffle(groups)
        yield from (_pad(group, int(tokenizer.eos_token_id)) for group in groups)


def _pad(group: list[Piece], filler: int) -> Batch:
    length = max(len(ids) for ids, _ in group)
    ids = [tokens + [filler] * (length - len(tokens)) for tokens, _ in group]
    weights = [values + [0.0] * (length - len(values)) for _, values in group]
    return Batch(torch.tensor(ids), torch.tensor(weights))


def loss_of(model: Any, batch: Batch) -> Tensor:
    """Return the mean loss of the answers' tokens."""
    body = model.get_base_model()
    # Padding is on the right and attention is causal, so no mask is needed.
    hidden = body.model(input_ids=batch.ids[:, :-1], use_cache=False).last_hidden_state
    # The output embedding is a fifth of the work: only what is learnt goes through it.
    wanted = batch.weights[:, 1:] > 0
    losses = cross_entropy(
        body.lm_head(hidden[wanted]).float(), batch.ids[:, 1:][wanted], reduction="none"
    )
    weights = batch.weights[:, 1:][wanted]
    return (losses * weights).sum() / weights.sum()


def train(
    model: Any, stream: Iterator[Batch], plan: Plan, *, report: Callable[[float], None]
) -> None:
    """Train the adapter in place.

    Args:
        model: what `with_adapter` made.
        stream: its batches.
        plan: the schedule; cosine to zero after a short warm-up.
        report: called after every step with its loss.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=plan.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, plan.steps))
    model.train()
    for batch in islice(stream, plan.steps):
        loss = loss_of(model, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        report(loss.item())
    model.eval()


def _rate(step: int, steps: int) -> float:
    warmup = max(1, round(steps * WARMUP))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
