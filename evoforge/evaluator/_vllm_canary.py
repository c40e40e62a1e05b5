"""A canary: notices when vLLM does not run the weights that it was given.

A swap can go wrong without any error: a part of the weights is not replaced or is repacked wrongly,
or keys and values of the former weights stay in the prefix cache. Sums over the engine's tensors
would see neither what kernels keep beside them nor the cache. So a few prompts are asked whose
beginning the prefix cache keeps, and what the engine says of their next tokens is compared with
what transformers says. Candidates may be so much alike that no fixed limit tells them apart in
bfloat16; that the engine is nearer to the candidate before is seen all the same.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import torch

from evoforge.evaluator._forward import logits_at

# The largest distance, as a share of the standard deviation of the logits. Measured on the bundled
# models, whose logits deviate by 3 nats: 1e-5, 5e-3 and 2e-2 where all was well (7e-2 once for a
# single prompt, hence medians), and from 0.13 on with keys and values of another model.
LIMITS = {"float32": 1e-3, "float16": 3e-2, "bfloat16": 8e-2}
# How many times nearer to the candidate before an answer has to be to be that candidate's.
NEARER = 2.0
# Tokens of the beginning: the largest blocks that the cache keeps have so many.
BEGINNING = 128
# New tokens after it.
ENDINGS = tuple(range(1, 17, 2))


class Canary:
    """Prompts with one beginning, and what is to be said of the tokens after them.

    Args:
        vocabulary: how many tokens may be in a prompt.
        window: the longest prompt; None for any.
    """

    def __init__(self, *, vocabulary: int, window: int | None) -> None:
        longest = BEGINNING + ENDINGS[-1]
        longest = longest if window is None else min(longest, window)
        # Steps of a large prime visit the vocabulary in an order without a pattern.
        text = [(104729 * place + 17) % vocabulary for place in range(longest)]
        lengths = sorted({max(1, longest - ENDINGS[-1] + ending) for ending in ENDINGS})
        self._text = text
        self._lengths = [length for length in lengths if length <= longest]
        self.prompts = [tuple(text[:length]) for length in self._lengths]

    @torch.inference_mode()
    def expected(self, model: Any) -> torch.Tensor:
        """Return what a transformers model says: (prompts, vocabulary), logarithms, float32."""
        device = model.device
        columns = torch.tensor(self._lengths, device=device) - 1
        tokens = torch.tensor([self._text], device=device)
        logits = logits_at(model, tokens, torch.zeros_like(columns), columns, use_cache=False)
        return logits.float().log_softmax(-1).cpu()


def fault(
    said: Sequence[Mapping[int, float]],
    expected: torch.Tensor,
    before: torch.Tensor | None,
    dtype: str,
) -> str | None:
    """Return what is wrong with an engine's answers, or None.

    Args:
        said: for each prompt the logarithms of some tokens' probabilities.
        expected: what transformers says: (prompts, vocabulary).
        before: the same of the weights that the engine had before, if any.
        dtype: of the model.
    """
    found = distance(said, expected)
    spread = float(expected.std(-1).mean())
    if not found <= LIMITS[dtype] * spread:
        return (
            f"its logits are {found / spread:.2g} of their deviation from those of transformers, "
            f"at most {LIMITS[dtype]:g} is allowed"
        )
    if before is not None and NEARER * distance(said, before) < found:
        return "it still has the weights of the candidate before"
    return None


def distance(said: Sequence[Mapping[int, float]], expected: torch.Tensor) -> float:
    """Return the root of the mean squared difference for the median prompt, in nats.

    A deep model in a short type blows up rounding on some texts; wrong weights show on all.
    """
    found = []
    for row, values in zip(expected, said, strict=True):
        apart = row[list(values)] - torch.tensor(list(values.values()))
        found.append(float(apart.square().mean().sqrt()))
    return median(found)
