"""Evaluation with transformers: one live model, merged in place, asked in batches."""

import logging
import os
from collections.abc import Sequence
from typing import Any

import torch

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError
from evoforge.evaluator._answering import TokenEvaluator
from evoforge.evaluator._decode import Decoder
from evoforge.evaluator._eyes import Eyes
from evoforge.evaluator._likelihood import likelihoods
from evoforge.evaluator._live import LiveModel
from evoforge.evaluator._plain import check_count, or_halve
from evoforge.evaluator._spread import DeviceMap, MaxMemory, Spread
from evoforge.evaluator._tokens import Likelihood, Prompt, Question, Reply
from evoforge.models.pool import Pool
from evoforge.task.base import Task

log = logging.getLogger(__name__)

# oneDNN and PyTorch's layer over it keep compiled code, a megabyte or so, for each of the last 1024
# shapes that they met. A step needs a few of them; read once, when the first product is made.
for _cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_cache, "64")


class Hf(TokenEvaluator):
    """Answers tasks with transformers.

    Args:
        task: the task.
        pool: the sources, which say the architecture, the tokenizer and the type of the weights.
        batch_size: sequences computed together; halved once if memory runs out.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ...; auto is cuda where there is one.
        device_map: spreads one model over devices: `auto` fills one GPU after the other, then main
            memory, then the disk; `balanced` gives like shares; or module -> device, where a device
            may be `disk`. None for one device.
        max_memory: device -> what weights may take there, such as `{0: 20GiB, cpu: 60GiB}`; None
            for three quarters of what is free.
        attention: `auto` (what transformers takes for the architecture, with quicker steps for
            `sdpa` on a CPU), or as transformers names it: `sdpa`, `eager`, `flash_attention_2`.
        feature_cache_gb: main memory for what a vision tower says of pictures, in gibibytes, above
            0; pictures that it does not hold are looked at anew.

    Raises:
        ConfigError: an option makes no sense, or a prompt does not fit into the context.
    """

    def __init__(
        self,
        task: Task,
        pool: Pool,
        *,
        batch_size: int = 128,
        device: str = "auto",
        device_map: DeviceMap = None,
        max_memory: MaxMemory = None,
        attention: str = "auto",
        feature_cache_gb: float = 4.0,
    ) -> None:
        super().__init__(task, pool)
        check_count("batch_size", batch_size)
        if feature_cache_gb <= 0:
            raise ConfigError(
                f"feature_cache_gb must be above 0, got {feature_cache_gb}; "
                "set evaluator.feature_cache_gb"
            )
        self.batch_size = batch_size
        self._quick = attention == "auto"
        spread = Spread(device, device_map, max_memory)
        self.live = LiveModel(pool, device=spread, attention=attention)
        limit = feature_cache_gb * 2**30
        self._eyes = None if pool.vision is None else Eyes(self.live.model, limit=limit)
        _warn_of_slow_type(self.live.model)

    def load(self, candidate: Candidate) -> None:
        """Merge the candidate into the live model; see `TokenEvaluator.load`."""
        self.live.write(candidate)

    def generate(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """Continue prompts; see `TokenEvaluator.generate`."""

        def ask(batch_size: int) -> list[Reply]:
            decoder = Decoder(
                self.live.model,
                ends=self.ends,
                pad=self.pad,
                batch_size=batch_size,
                quick=self._quick,
                eyes=self._eyes,
            )
            return decoder.generate(prompts)

        return or_halve(ask, self.batch_size)

    def likelihoods(self, questions: Sequence[Question]) -> list[list[Likelihood]]:
        """Score continuations; see `TokenEvaluator.likelihoods`."""

        def ask(batch_size: int) -> list[list[Likelihood]]:
            return likelihoods(
                self.live.model,
                questions,
                pad=self.pad,
                batch_size=batch_size,
                quick=self._quick,
                eyes=self._eyes,
            )

        return or_halve(ask, self.batch_size)


def _warn_of_slow_type(model: Any) -> None:
    """Say so where the processor emulates the type of the weights."""
    fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if model.device.type == "cpu" and model.dtype == torch.bfloat16 and not fast:
        log.warning(
            "this processor has no instructions for bfloat16, so answers take about twice as long "
            "as they need; set models.dtype=float32 if the memory allows"
        )
