"""Evaluation with vLLM: one engine in this process, whose weights are replaced in place.

Candidates are merged into a live model of transformers first, from which the engine gets its
weights and which says whether it got them. A path goes into the engine as the plain model that it
folds into, so what is scored is what is exported.
"""

from collections.abc import Sequence

import torch

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError
from evoforge.evaluator._answering import TokenEvaluator
from evoforge.evaluator._by_transformers import is_plain
from evoforge.evaluator._live import LiveModel
from evoforge.evaluator._plain import check_count
from evoforge.evaluator._spread import DeviceMap, MaxMemory, Spread
from evoforge.evaluator._tokens import Likelihood, Prompt, Question, Reply
from evoforge.evaluator._vllm_engine import Settings, import_vllm
from evoforge.evaluator._vllm_host import Host
from evoforge.models.pool import Pool
from evoforge.task.base import Item, Task
from evoforge.task.request import Generate, Request


class Vllm(TokenEvaluator):
    """Answers tasks with vLLM.

    Args:
        task: the task.
        pool: the sources, which say the architecture, the tokenizer and the type of the weights.
        batch_size: sequences computed together.
        device: where candidates are merged, beside the engine: `auto`, `cpu`, `cuda`; auto is cuda
            where there is one. The engine takes the first CUDA device that is visible, if any.
        device_map: spreads the model that candidates are merged into, beside the engine; see `Hf`.
        max_memory: see `Hf`.
        attention: of the live model: `auto`, or as transformers names it.
        gpu_memory_utilization: the share of the GPU's memory that the engine may take, in (0, 1].
        kv_cache_gib: memory for keys and values, in gibibytes; None for what that share leaves,
            and for 1 on a CPU.
        max_model_len: tokens of the longest prompt with its answer; None for the model's window.
        max_hops: the longest path that needs no new engine; shorter ones are filled up with layers
            that do nothing. None for the longest so far.
        enforce_eager: whether to leave out graphs and compilation, which saves about a minute at
            the start; None for on a CPU only, where they gain nothing.
        tensor_parallel_size: GPUs that share each layer of the engine.
        pipeline_parallel_size: groups of GPUs that have the engine's layers one after the other;
            it takes the product of both, and each candidate's weights go there through a folder in
            shared memory.

    Raises:
        ConfigError: vLLM is not installed, an option makes no sense, a prompt does not fit into
            the context, or there are pictures, beams or penalties.
    """

    def __init__(
        self,
        task: Task,
        pool: Pool,
        *,
        batch_size: int = 256,
        device: str = "auto",
        device_map: DeviceMap = None,
        max_memory: MaxMemory = None,
        attention: str = "auto",
        gpu_memory_utilization: float = 0.7,
        kv_cache_gib: float | None = None,
        max_model_len: int | None = None,
        max_hops: int | None = None,
        enforce_eager: bool | None = None,
        tensor_parallel_size: int = 1,
        pipeline_parallel_size: int = 1,
    ) -> None:
        import_vllm()
        if pool.vision is not None:
            raise ConfigError(
                f"evaluator vllm runs no vision-language models, and {pool.vision.source.name} is "
                "one; set evaluator=hf"
            )
        super().__init__(task, pool)
        check_count("batch_size", batch_size)
        check_count("max_model_len", max_model_len)
        check_count("max_hops", max_hops)
        check_count("tensor_parallel_size", tensor_parallel_size)
        check_count("pipeline_parallel_size", pipeline_parallel_size)
        if not 0 < gpu_memory_utilization <= 1:
            raise ConfigError(
                f"gpu_memory_utilization must be in (0, 1], got {gpu_memory_utilization}; "
                "set evaluator.gpu_memory_utilization"
            )
        if kv_cache_gib is not None and kv_cache_gib <= 0:
            raise ConfigError(
                f"kv_cache_gib must be above 0, got {kv_cache_gib}; set evaluator.kv_cache_gib"
            )
        own = pool.window
        windows = [each for each in (own, max_model_len) if each is not None]
        self._settings = Settings(
            dtype=pool.dtype_name,
            window=min(windows, default=None),
            batch_size=batch_size,
            gpu_memory_utilization=gpu_memory_utilization,
            kv_cache_gib=kv_cache_gib,
            enforce_eager=enforce_eager,
            tensor_parallel=tensor_parallel_size,
            pipeline_parallel=pipeline_parallel_size,
        )
        _check_gpus(self._settings)
        spread = Spread(device, device_map, max_memory)
        self.live = LiveModel(pool, device=spread, attention=attention)
        self._host = Host(pool, self.live, self._settings, max_hops or 1)

    def load(self, candidate: Candidate) -> None:
        """Make the engine's model the candidate; see `TokenEvaluator.load` and `Host.load`."""
        self._host.load(candidate)

    def generate(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """Continue prompts; see `TokenEvaluator.generate`."""
        self._check_lengths([len(prompt.tokens) + prompt.limit for prompt in prompts])
        with self._host.engine() as engine:
            return engine.generate(prompts, self.ends)

    def likelihoods(self, questions: Sequence[Question]) -> list[list[Likelihood]]:
        """Score continuations; see `TokenEvaluator.likelihoods`."""
        self._check_lengths([len(q.context) + max(map(len, q.continuations)) for q in questions])
        with self._host.engine() as engine:
            return engine.likelihoods(questions)

    def refuse(self, item: Item, request: Request) -> None:
        """Refuse pictures, beams and penalties; see `TokenEvaluator.refuse`."""
        if request.picture is not None:
            raise ConfigError(
                f"evaluator vllm shows no pictures, and {item.id} has one; set evaluator=hf"
            )
        if isinstance(request, Generate) and not is_plain(request):
            raise ConfigError(
                f"evaluator vllm knows no beams and no repetition penalty, and {item.id} asks for "
                f"{request.beams} and {request.repetition_penalty}; set evaluator=hf, or "
                "task.beams=1 and task.repetition_penalty=1"
            )

    def close(self) -> None:
        """Give the engine's memory back."""
        self._host.close()

    def _check_lengths(self, lengths: Sequence[int]) -> None:
        """Refuse what does not fit into the engine, which would fail for every candidate."""
        window, longest = self._settings.window, max(lengths, default=0)
        if window is not None and longest > window:
            raise ConfigError(
                f"a prompt with its answer has {longest} tokens, and vLLM's engine takes {window}; "
                "set evaluator.max_model_len"
            )


def _check_gpus(settings: Settings) -> None:
    """Refuse an engine over more GPUs than there are."""
    wanted, there = settings.gpus, torch.cuda.device_count()
    if wanted > 1 and wanted > there:
        raise ConfigError(
            f"an engine of {settings.tensor_parallel} x {settings.pipeline_parallel} GPUs needs "
            f"{wanted}, and there are {there}; set evaluator.tensor_parallel_size and "
            "evaluator.pipeline_parallel_size"
        )
