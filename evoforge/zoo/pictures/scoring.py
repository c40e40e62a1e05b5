"""Scores of a model on questions about pictures: how much of the gold answer, in its language.

Small and self-contained, so that the bundled models can be checked without the framework's own
evaluation.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from evoforge.zoo.pictures.recipes import MAX_NEW_TOKENS
from evoforge.zoo.pictures.words import IMAGE, KINDS, PROMPTS
from evoforge.zoo.scoring import japanese_probability


@dataclass(frozen=True)
class Score:
    """Means over all items, in percent.

    Args:
        both: ROUGE-L of answers that are in the language of the question, 0 of others.
        rouge: ROUGE-L whatever the language.
        same: answers in the language of the question.
        kinds: `both` for each kind of question.
    """

    both: float
    rouge: float
    same: float
    kinds: dict[str, float]


def rouge_l(gold: str, text: str) -> float:
    """Return the F1 of the longest common subsequence of characters without white space."""
    first, second = "".join(gold.split()), "".join(text.split())
    row = [0] * (len(second) + 1)
    for character in first:
        above = row
        row = [0]
        for place, other in enumerate(second):
            row.append(
                above[place] + 1 if other == character else max(row[place], above[place + 1])
            )
    return 2 * row[-1] / max(1, len(first) + len(second))


@torch.inference_mode()
def complete(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    rows: Sequence[dict[str, Any]],
    language: str,
) -> list[str]:
    """Answer rows of `Pictures` greedily, in one batch."""
    from PIL import Image

    texts = [f"{IMAGE}\n{PROMPTS[language].format(question=row['question'])}" for row in rows]
    images = [Image.open(io.BytesIO(row["image"])) for row in rows]
    inputs = processor(images=images, text=texts, return_tensors="pt", padding=True)
    tokens = model.generate(**inputs, do_sample=False, max_new_tokens=MAX_NEW_TOKENS)
    answers = tokens[:, inputs["input_ids"].shape[1] :]
    return [str(text) for text in processor.batch_decode(answers, skip_special_tokens=True)]


def score(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    rows: Sequence[dict[str, Any]],
    *,
    language: str = "ja",
    batch_size: int = 100,
) -> Score:
    """Score a model on rows of `Pictures(language=language)`."""
    texts: list[str] = []
    for start in range(0, len(rows), batch_size):
        texts += complete(model, processor, rows[start : start + batch_size], language)
    pairs = zip(rows, texts, strict=True)
    rouge = [rouge_l(row["answers"][0], text) for row, text in pairs]
    same = [(japanese_probability(text) > 0.5) == (language == "ja") for text in texts]
    both = [r * s for r, s in zip(rouge, same, strict=True)]
    kinds = {
        kind: _percent(
            [value for value, row in zip(both, rows, strict=True) if row["kind"] == kind]
        )
        for kind in KINDS
    }
    return Score(_percent(both), _percent(rouge), _percent(same), kinds)


def _percent(values: Sequence[float]) -> float:
    return 100 * sum(values) / max(1, len(values))
