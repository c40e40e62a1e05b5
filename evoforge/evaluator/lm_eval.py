"""Evaluation with lm-eval: its requests, filters and metrics, on one live model.

The pieces of `lm_eval.evaluate` are run by themselves: requests are made once for a whole run
(`evoforge.task.lm_eval`), and nothing is logged, cached or resampled.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError
from evoforge.evaluator._answering import end_tokens
from evoforge.evaluator._live import LiveModel
from evoforge.evaluator._plain import check_count, logits, logits_of, or_halve
from evoforge.evaluator._spread import DeviceMap, MaxMemory, Spread
from evoforge.evaluator.base import Evaluator
from evoforge.models.pool import Pool
from evoforge.record import ItemResult
from evoforge.task._harness import LOUD
from evoforge.task._quiet import quiet
from evoforge.task.base import Item, Task
from evoforge.task.lm_eval import LmEval as HarnessTask

BackEnd = Literal["evoforge", "hflm"]
BACK_ENDS: tuple[BackEnd, ...] = get_args(BackEnd)


class LmEval(Evaluator):
    """Answers tasks of lm-eval as its command `--model hf` does.

    Args:
        task: the task, an `evoforge.task.lm_eval.LmEval`.
        pool: the sources, which say the architecture, the tokenizer and the type of the weights.
        batch_size: sequences computed together; halved once if memory runs out.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ...; auto is cuda where there is one.
        device_map: see `Hf`.
        max_memory: see `Hf`.
        attention: `auto`, or as transformers names it: `sdpa`, `eager`, `flash_attention_2`.
        back_end: `evoforge`, which reads what continuations share once, or lm-eval's own `hflm`.

    Raises:
        ConfigError: an option makes no sense, or the task is not lm-eval's.
    """

    def __init__(
        self,
        task: Task,
        pool: Pool,
        *,
        batch_size: int = 64,
        device: str = "auto",
        device_map: DeviceMap = None,
        max_memory: MaxMemory = None,
        attention: str = "auto",
        back_end: BackEnd = "evoforge",
    ) -> None:
        if not isinstance(task, HarnessTask):
            raise ConfigError(
                f"evaluator lm_eval asks only lm-eval's tasks, and {task.name} is none; "
                "set task=lm_eval, or evaluator=hf"
            )
        check_count("batch_size", batch_size)
        if back_end not in BACK_ENDS:
            raise ConfigError(
                f"back_end must be one of {', '.join(BACK_ENDS)}, got {back_end}; "
                "set evaluator.back_end"
            )
        super().__init__(task)
        self._task = task
        self.batch_size = batch_size
        task.prepare(pool.tokenizer)
        spread = Spread(device, device_map, max_memory)
        self.live = LiveModel(pool, device=spread, attention=attention)
        _settle(self.live.model, pool)
        from evoforge.evaluator._harness_lm import PlainLm, QuickLm

        make = QuickLm if back_end == "evoforge" else PlainLm
        ends = end_tokens(pool, pool.tokenizer)
        with quiet(*LOUD):
            self._lm = make(
                self.live.model,
                pool.tokenizer,
                batch_size=batch_size,
                ends=ends,
                quick=attention == "auto",
            )

    def answer(
        self, task: Task, candidate: Candidate, items: Sequence[Item], seconds: dict[str, float]
    ) -> list[ItemResult]:
        """Return the result of each item; see `Evaluator.answer`."""
        del task  # lm-eval's tasks have no proxy
        start = time.perf_counter()
        self.live.write(candidate)
        merged = time.perf_counter()
        seconds["merge"] = merged - start
        instances = {item.id: self._task.instances(item) for item in items}
        with quiet(*LOUD):
            asked = [one for found in instances.values() for one in found]
            or_halve(lambda batch_size: self._ask(asked, batch_size), self.batch_size)
            generated = time.perf_counter()
            seconds["generate"] = generated - merged
            results = [self._result(item, instances[item.id]) for item in items]
        seconds["score"] = time.perf_counter() - generated
        return results

    def _ask(self, instances: Sequence[Any], batch_size: int) -> None:
        self._lm.batch_size_per_gpu = batch_size
        for instance in instances:
            instance.resps.clear()  # of an attempt that ran out of memory
        for kind in sorted({instance.request_type for instance in instances}):
            self._lm.ask(kind, [one for one in instances if one.request_type == kind])

    def _result(self, item: Item, instances: Sequence[Any]) -> ItemResult:
        completion = _completion(instances)
        metrics = self._task.measure(item, instances)
        tokens = len(self._lm.tok_encode(completion, add_special_tokens=False))
        return ItemResult(item.id, metrics[self._task.metric], metrics, completion, tokens)

    def logits(self, candidate: Candidate, items: Sequence[Item]) -> list[torch.Tensor]:
        """Return what a candidate says of every next token; see `Evaluator.logits`."""
        self.live.write(candidate)
        return [logits(self.live.model, self._shown(item)) for item in items]

    def logits_of(self, folder: Path, items: Sequence[Item]) -> list[torch.Tensor]:
        """Return what the model of a folder says; see `Evaluator.logits_of`."""
        texts = [self._shown(item) for item in items]
        return logits_of(folder, self.live.model, texts, put=self.live.spread.put)

    def _shown(self, item: Item) -> list[int]:
        return self._lm.shown(self._task.instances(item)[0])


def _settle(model: Any, pool: Pool) -> None:
    """Give the model the settings of generation that a saved model would have."""
    from transformers import GenerationConfig

    given = pool.generation_settings()
    if given is not None:
        model.generation_config = GenerationConfig.from_dict(given)


def _completion(instances: Sequence[Any]) -> str:
    """Return what the model wrote, or which continuation it finds most likely."""
    first = instances[0]
    if first.request_type == "generate_until":
        return str(first.resps[0])
    if first.request_type == "loglikelihood_rolling":
        return ""
    asked = [one for one in instances if one.request_type == "loglikelihood"]
    if len(asked) == 1:  # a text that the model would write itself, or would not
        likely = asked[0].resps[0][1]
        return str(asked[0].args[1]).strip() if likely else ""
    # Without a context lm-eval only asks how likely a choice is anyway.
    given = [one for one in asked if one.args[0]] or asked
    best = max(given, key=lambda one: one.resps[0][0])
    if len({one.args[1] for one in given}) == 1:  # the choices are in what goes before
        return str(best.idx)
    return str(best.args[1]).strip()
