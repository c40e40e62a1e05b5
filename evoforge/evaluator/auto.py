"""Whichever evaluator is the faster one of those that are there."""

import logging
from functools import partial

import torch

from evoforge.evaluator._answering import TokenEvaluator
from evoforge.evaluator._by_transformers import is_plain
from evoforge.evaluator._spread import DeviceMap, MaxMemory
from evoforge.evaluator._vllm_engine import import_vllm, installed
from evoforge.evaluator.hf import Hf
from evoforge.evaluator.vllm import Vllm
from evoforge.models.pool import Pool
from evoforge.task.base import PARTS, Task
from evoforge.task.request import Generate

log = logging.getLogger(__name__)


def auto(
    task: Task,
    pool: Pool,
    *,
    batch_size: int = 128,
    device: str = "auto",
    device_map: DeviceMap = None,
    max_memory: MaxMemory = None,
    attention: str = "auto",
    feature_cache_gb: float = 4.0,
) -> TokenEvaluator:
    """Return vLLM's evaluator where there is a GPU and vLLM can do all of it, else `Hf`.

    Args:
        task: the task.
        pool: the sources.
        batch_size: sequences computed together.
        device: `auto`, `cpu`, `cuda`, ...; see `Hf`.
        device_map: see `Hf`; of vLLM it spreads the model that candidates are merged into.
        max_memory: see `Hf`.
        attention: see `Hf`.
        feature_cache_gb: see `Hf`; vLLM is shown no pictures.

    Raises:
        ConfigError: see `Hf` and `Vllm`.
    """
    reason = why_not_vllm(pool, device) or _why_not_ask_vllm(task, pool)
    log.info("evaluator=auto is %s", "vllm" if reason is None else f"hf: {reason}")
    make = partial(Hf, feature_cache_gb=feature_cache_gb) if reason else Vllm
    return make(
        task,
        pool,
        batch_size=batch_size,
        device=device,
        device_map=device_map,
        max_memory=max_memory,
        attention=attention,
    )


def why_not_vllm(pool: Pool, device: str) -> str | None:
    """Return why vLLM is not the faster way to run a pool's models, or None if it is."""
    if pool.vision is not None:
        return "the models see pictures"
    if not installed():
        return "vllm is not installed"
    if device == "cpu" or not torch.cuda.is_available():
        return "vllm is no faster without a GPU"
    known = import_vllm().ModelRegistry.get_supported_archs()
    names = pool.model_config().architectures or ["the models' architecture"]
    return None if set(names) & set(known) else f"vllm does not know {names[0]}"


def _why_not_ask_vllm(task: Task, pool: Pool) -> str | None:
    """Return why vLLM cannot be asked what a task asks, or None if it can."""
    for asking in filter(None, (task, task.proxy)):
        asking.prepare(pool.tokenizer)
        for part in PARTS:
            for item in asking.items(part):
                request = asking.request(item)
                if isinstance(request, Generate) and not is_plain(request):
                    return "the task asks for beams or a repetition penalty"
    return None
