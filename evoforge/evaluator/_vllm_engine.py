"""vLLM in this process: built from a folder once, and given other weights in place.

Knows vLLM's calls; does not know candidates.
"""

import gc
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from evoforge.errors import ConfigError
from evoforge.evaluator._tokens import END, LENGTH, Likelihood, Prompt, Question, Reply

# Only an engine in this process can be given tensors. A window of one more token than a model has
# lets a text fill the window that is scored: vLLM wants to write one token, which is not read.
ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}
# What a user may set otherwise.
DEFAULTS = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
# Gibibytes for keys and values where the engine runs on the CPU.
CPU_CACHE = 1.0
# The likeliest tokens that `next_tokens` returns.
TOP = 20


@dataclass(frozen=True)
class Settings:
    """How an engine runs; see `Vllm` for what they mean."""

    dtype: str
    window: int | None
    batch_size: int
    gpu_memory_utilization: float
    kv_cache_gib: float | None
    enforce_eager: bool | None
    tensor_parallel: int = 1
    pipeline_parallel: int = 1

    @property
    def gpus(self) -> int:
        """How many GPUs the engine takes, each with a process of its own if they are several."""
        return self.tensor_parallel * self.pipeline_parallel


def installed() -> bool:
    """Return whether vLLM can be imported."""
    return find_spec("vllm") is not None


def import_vllm() -> Any:
    """Return the module `vllm`, imported so that its engine runs in this process.

    Raises:
        ConfigError: it is not installed.
    """
    if not installed():
        raise ConfigError(
            "vllm is not installed; pip install 'evoforge[vllm]' (docs/vllm.md says what a machine "
            "without a GPU needs), or set evaluator=hf"
        )
    os.environ.update(ENVIRONMENT)
    for key, value in DEFAULTS.items():
        os.environ.setdefault(key, value)
    import vllm

    return vllm


def clear() -> None:
    """Give back what an engine leaves in the process, also one that could not be built."""
    from vllm.distributed import cleanup_dist_env_and_memory

    gc.collect()
    cleanup_dist_env_and_memory()


class Engine:
    """A running engine.

    Args:
        folder: settings and weights of the first model; not needed any more afterwards.
        settings: how it runs.

    Raises:
        ValueError: vLLM cannot run the model, or not with this memory; so is RuntimeError.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        vllm = import_vllm()
        from vllm.platforms import current_platform

        gib, eager = settings.kv_cache_gib, settings.enforce_eager
        if current_platform.is_cpu():
            gib = CPU_CACHE if gib is None else gib
            eager = True if eager is None else eager
        arguments = vllm.EngineArgs(
            model=str(folder),
            dtype=settings.dtype,
            # Prompts come as tokens, and answers stay tokens.
            skip_tokenizer_init=True,
            max_model_len=None if settings.window is None else settings.window + 1,
            max_num_seqs=settings.batch_size,
            gpu_memory_utilization=settings.gpu_memory_utilization,
            kv_cache_memory_bytes=None if gib is None else int(gib * 2**30),
            enforce_eager=bool(eager),
            tensor_parallel_size=settings.tensor_parallel,
            pipeline_parallel_size=settings.pipeline_parallel,
            enable_prefix_caching=True,
            generation_config="vllm",
            disable_log_stats=True,
            use_tqdm_on_load=False,
        )
        self._make = vllm.SamplingParams
        self._engine: Any = vllm.LLMEngine.from_engine_args(arguments)

    def swap(self, weights: Iterable[tuple[str, torch.Tensor]]) -> bool:
        """Replace all weights; return whether the keys and values of the former are forgotten."""
        self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights)})
        return bool(self._engine.reset_prefix_cache())

    def reload(self, folder: Path) -> bool:
        """Replace all weights by those of a folder; return whether the cache is forgotten.

        Each of several processes reads its own part: tensors cannot be sent to them.
        """
        self._engine.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
        return bool(self._engine.reset_prefix_cache())

    def close(self) -> None:
        """Give the memory back."""
        self._engine.engine_core.shutdown()
        self._engine = None
        clear()

    def generate(self, prompts: Sequence[Prompt], ends: Sequence[int]) -> list[Reply]:
        """Continue prompts greedily; return the replies in order."""
        from vllm.sampling_params import RequestOutputKind as Kind

        watched = {row: _Watch(p.over) for row, p in enumerate(prompts) if p.over is not None}
        asked = [
            (
                prompt.tokens,
                {
                    "max_tokens": prompt.limit,
                    "stop_token_ids": list(ends),
                    "output_kind": Kind.CUMULATIVE if row in watched else Kind.FINAL_ONLY,
                },
            )
            for row, prompt in enumerate(prompts)
        ]

        def reply(row: int, output: Any) -> Reply | None:
            tokens, ended = _written(output, ends)
            if row in watched and (early := watched[row].look(tokens)) is not None:
                return early
            if not output.finished:
                return None
            return Reply(tuple(tokens), END if ended else LENGTH)

        return self._ask(asked, reply)

    def next_tokens(self, prompts: Sequence[tuple[int, ...]]) -> list[dict[int, float]]:
        """Return the likeliest tokens after each prompt, and their probabilities' logarithms."""

        def first(_: int, output: Any) -> dict[int, float]:
            row = output.outputs[0].logprobs[0]
            return {token: found.logprob for token, found in row.items()}

        options = {"max_tokens": 1, "logprobs": TOP}
        return self._ask([(tokens, options) for tokens in prompts], first)

    def likelihoods(self, questions: Sequence[Question]) -> list[list[Likelihood]]:
        """Return how likely each continuation of each question is, in order."""
        pairs = [(q.context, tokens) for q in questions for tokens in q.continuations]
        # vLLM's default is to compute the context again for each continuation.
        found = dict(enumerate(self._score(pairs, cached=True)))
        # Where the cache holds a part of the continuation too, there are no logits for it.
        again = [row for row, likelihood in found.items() if likelihood is None]
        found.update(
            zip(again, self._score([pairs[row] for row in again], cached=False), strict=True)
        )
        rows = iter(found[row] for row in range(len(pairs)))
        return [[next(rows) for _ in question.continuations] for question in questions]

    def _score(
        self, pairs: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], *, cached: bool
    ) -> list[Any]:
        """Return the likelihood of each continuation after its context, or None."""
        options = {
            "max_tokens": 1,
            "prompt_logprobs": 1,
            "skip_reading_prefix_cache": not cached,
        }

        def score(row: int, output: Any) -> tuple[Likelihood | None]:
            context, tokens = pairs[row]
            if (output.num_cached_tokens or 0) >= len(context):
                return (None,)
            places = output.prompt_logprobs[-len(tokens) :]
            return (_likelihood(tokens, places),)

        asked = [((*context, *tokens), options) for context, tokens in pairs]
        return [likelihood for (likelihood,) in self._ask(asked, score)]

    def _ask(
        self,
        asked: Sequence[tuple[tuple[int, ...], Mapping[str, Any]]],
        take: Callable[[int, Any], Any],
    ) -> list[Any]:
        """Run requests; return what `take` makes of each, as soon as it is not None."""
        engine = self._engine
        for row, (tokens, options) in enumerate(asked):
            parameters = self._make(temperature=0.0, detokenize=False, ignore_eos=True, **options)
            engine.add_request(str(row), {"prompt_token_ids": list(tokens)}, parameters)
        found: dict[int, Any] = {}
        while engine.has_unfinished_requests():
            for output in engine.step():
                row = int(output.request_id)
                taken = take(row, output)
                if taken is None:
                    continue
                found[row] = taken
                if not output.finished:
                    engine.abort_request([output.request_id])
        return [found[row] for row in range(len(asked))]


class _Watch:
    """Asks of every beginning of an answer, once, whether it is over."""

    def __init__(self, over: Callable[[Sequence[int]], str | None]) -> None:
        self._over = over
        self._seen = 0

    def look(self, tokens: Sequence[int]) -> Reply | None:
        """Return the reply that is over, however many tokens came since the last look."""
        while self._seen < len(tokens):
            self._seen += 1
            reason = self._over(tokens[: self._seen])
            if reason is not None:
                return Reply(tuple(tokens[: self._seen]), reason)
        return None


def _written(output: Any, ends: Sequence[int]) -> tuple[list[int], bool]:
    """Return the new tokens without the end token, and whether there was one."""
    tokens = list(output.outputs[0].token_ids)
    if tokens and tokens[-1] in ends:
        return tokens[:-1], True
    return tokens, False


def _likelihood(tokens: Sequence[int], places: Sequence[Mapping[int, Any]]) -> Likelihood:
    total, greedy = 0.0, True
    for token, place in zip(tokens, places, strict=True):
        total += place[token].logprob
        greedy = greedy and place[token].logprob >= max(each.logprob for each in place.values())
    return Likelihood(total, greedy)
