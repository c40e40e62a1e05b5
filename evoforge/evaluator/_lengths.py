"""How many tokens a task's items are, told without a model."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from evoforge.evaluator._encode import Encoder
from evoforge.evaluator._views import Views
from evoforge.models.pool import Pool
from evoforge.task.base import Item, Task
from evoforge.task.lm_eval import LmEval

# Tokens that lm-eval lets a model write where a task does not say.
WRITTEN = 256


class Length(NamedTuple):
    """Tokens of one item.

    Args:
        read: of its prompt, and of the continuations that are compared.
        written: of the answer, at most.
    """

    read: int
    written: int


def lengths(task: Task, pool: Pool, items: Sequence[Item]) -> list[Length]:
    """Return the length of each item, as an evaluator of the pool's models meets it.

    Raises:
        ConfigError: an item cannot be asked.
    """
    task.prepare(pool.tokenizer)
    if isinstance(task, LmEval):
        return [_of_harness(task, item, pool.tokenizer) for item in items]
    views = None if pool.vision is None else Views(pool)
    end = pool.tokenizer.eos_token_id or 0
    encoder = Encoder(pool.tokenizer, end=end, window=pool.window, views=views)
    return [_of(encoder, task, item) for item in items]


def _of(encoder: Encoder, task: Task, item: Item) -> Length:
    found = encoder.encode(item.id, task.request(item))
    if found.prompt is not None:
        return Length(len(found.prompt.tokens), found.prompt.limit)
    asked = ((q.context, c) for q in found.questions for c in (q.continuations,))
    return Length(sum(len(context) + sum(map(len, texts)) for context, texts in asked), 0)


def _of_harness(task: LmEval, item: Item, tokenizer: Any) -> Length:
    read = written = 0
    for instance in task.instances(item):
        text = "".join(part for part in instance.args if isinstance(part, str))
        read += len(tokenizer(text)["input_ids"])
        if instance.request_type == "generate_until":
            settings = instance.args[1]
            written += int(settings.get("max_gen_toks") or settings.get("max_tokens") or WRITTEN)
    return Length(read, written)
