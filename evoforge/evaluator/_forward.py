"""One pass of a transformers model: logits where they are asked for, and nowhere else."""

from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch

# Widths of texts are binary numbers of so many digits and zeros: at most a 32nd is filled up.
FINE = 6


def takes(model: Any, argument: str) -> bool:
    """Return whether a model's forward pass has an argument of this name."""
    return argument in signature(model.forward).parameters


def logits_at(
    model: Any, tokens: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, **given: Any
) -> torch.Tensor:
    """Return what a model says of the tokens that follow certain ones.

    The output embedding is the largest matrix of a small model, so it sees the places asked for
    only, and never makes logits for whole texts.

    Args:
        model: as transformers builds it.
        tokens: (rows, columns).
        rows: of the places asked for: (places,).
        columns: of the places asked for: (places,).
        given: further arguments of the model.

    Returns:
        (places, vocabulary) in the model's type.
    """

    def only(_: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        # The head of a model that is spread may lie elsewhere than what it is given first.
        there = given[0].device
        return (given[0][rows.to(there), columns.to(there)].unsqueeze(0), *given[1:])

    if hasattr(model.base_model, "rope_deltas"):
        model.base_model.rope_deltas = None  # of what was read before
    head = model.get_output_embeddings()
    if head is None:
        logits: torch.Tensor = model(input_ids=tokens, **given).logits
        return logits[rows, columns]
    with head.register_forward_pre_hook(only):
        logits = model(input_ids=tokens, **given).logits
    return logits[0]


def shifts(model: Any, rows: int) -> list[int]:
    """Return for each row that was read last how to get from numbers of tokens to their places.

    Models whose pictures have places in two dimensions keep it for the tokens that follow.
    """
    kept = getattr(model.base_model, "rope_deltas", None)
    found: list[int] = [0] * rows if kept is None else kept.flatten().tolist()
    return found


def padded(
    texts: Sequence[Sequence[int]], pad: int, model: Any, *, before: int = 0
) -> torch.Tensor:
    """Return texts as rows of tokens on a model's device, filled at their ends.

    There nothing that counts can see the filling: a causal model needs no mask for it. Widths come
    in steps, because oneDNN keeps compiled code for every shape that it meets.

    Args:
        texts: of any lengths.
        pad: the token to fill with.
        model: as transformers builds it.
        before: tokens that the model has read before them, at most.
    """
    longest = max(map(len, texts))
    width = stepped(longest, 1 << max(0, longest.bit_length() - FINE))
    limit = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if limit is not None:
        width = max(longest, min(width, limit - before))
    rows = [[*text, *[pad] * (width - len(text))] for text in texts]
    return torch.tensor(rows, device=model.device)


def stepped(count: int, step: int) -> int:
    """Return a count as the next whole number of steps."""
    return -(-count // step) * step
