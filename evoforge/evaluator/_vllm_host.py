"""Keeps an engine that runs the candidate: swaps weights, checks that it took them, builds anew."""

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save_file

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError, EvoforgeError, MergeError
from evoforge.evaluator._live import LiveModel
from evoforge.evaluator._vllm_canary import Canary, fault
from evoforge.evaluator._vllm_engine import Engine, Settings, clear
from evoforge.evaluator._vllm_frame import Frame, frame_of
from evoforge.models.pool import Pool

log = logging.getLogger(__name__)

# Bytes that are copied to be written together.
SHARD = 2**31


class Host:
    """One engine, or for a while none.

    Args:
        pool: says the settings of the model.
        live: the model of transformers that candidates are merged into, and the reference.
        settings: how the engine runs.
        depth: the layers that it is built with at least.
    """

    def __init__(self, pool: Pool, live: LiveModel, settings: Settings, depth: int) -> None:
        self._pool = pool
        self._live = live
        self._settings = settings
        self._depth = depth
        rows = pool.model_config().get_text_config().vocab_size
        self._canary = Canary(vocabulary=min(rows, len(pool.tokenizer)), window=settings.window)
        self._engine: Engine | None = None
        self._frame: Frame | None = None
        self._expected: torch.Tensor | None = None
        self._loaded: str | None = None

    def load(self, candidate: Candidate) -> None:
        """Make the engine's model the candidate.

        An engine that does not say what transformers says is built anew, once.

        Raises:
            ConfigError: vLLM cannot run the model at all.
            MergeError: it cannot run this candidate, or does not say what transformers says.
        """
        if self._loaded == candidate.identity:
            return
        self._loaded = None
        self._live.write(candidate)
        expected = self._canary.expected(self._live.model)
        if not bool(expected.isfinite().all()):
            raise MergeError("what the candidate says is not finite")
        wanted = frame_of(candidate, self._pool.model_config(), self._pool.reference.per_layer)
        with self._given_up_on_error():
            if not self._swap(candidate, wanted, expected):
                said = self._build(candidate, wanted)
                if problem := fault(said, expected, None, self._settings.dtype):
                    raise MergeError(
                        f"vLLM does not run this candidate as transformers does: {problem}; "
                        "should that happen often, set evaluator=hf"
                    )
        self._expected = expected
        self._loaded = candidate.identity

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """Lend the engine, which is given up if the work with it does not come to its end."""
        assert self._engine is not None, "load comes first"
        with self._given_up_on_error():
            yield self._engine

    def close(self) -> None:
        """Give the engine's memory back; the next candidate gets a new engine."""
        engine, self._engine = self._engine, None
        self._loaded = None
        if engine is not None:
            engine.close()

    @contextmanager
    def _given_up_on_error(self) -> Iterator[None]:
        """Close the engine after any error: half a swap, or requests left over, are in it."""
        done = False
        try:
            yield
            done = True
        finally:
            if not done:
                self.close()

    def _swap(self, candidate: Candidate, wanted: Frame, expected: torch.Tensor) -> bool:
        """Give the engine the candidate's weights; return whether it took them."""
        if self._engine is None or self._frame is None:
            return False
        if lack := self._frame.lacks(wanted):
            log.info("vLLM's engine is built anew, for it lacks %s", lack)
            return False
        forgot = self._given(self._engine, self._frame, candidate)
        said = self._engine.next_tokens(self._canary.prompts)
        problem = fault(said, expected, self._expected, self._settings.dtype)
        if not forgot:
            problem = "its cache could not be emptied"
        if problem:
            log.warning("vLLM's engine is built anew, for after a swap of weights %s", problem)
        return not problem

    def _given(self, engine: Engine, frame: Frame, candidate: Candidate) -> bool:
        """Give the engine a candidate's weights; return whether it forgot its cache."""
        weights = frame.weights(candidate, self._tensor(candidate))
        if self._settings.gpus == 1:
            return engine.swap(weights)
        with TemporaryDirectory(prefix="evoforge_vllm_", dir=shared_memory(self._size)) as folder:
            _save_all(weights, Path(folder))
            return engine.reload(Path(folder))

    @property
    def _size(self) -> int:
        """Bytes of the live model, as much as an engine of its depth holds."""
        weights: int = sum(weight.nbytes for weight in self._live.model.parameters())
        return weights

    def _build(self, candidate: Candidate, wanted: Frame) -> list[dict[int, float]]:
        """Build an engine that starts with the candidate; return what it says to the canary."""
        start = time.perf_counter()
        self.close()
        first = self._frame is None
        frame = wanted.deeper(self._depth)
        where = shared_memory(self._size) if self._settings.gpus > 1 else None
        with TemporaryDirectory(prefix="evoforge_vllm_", dir=where) as folder:
            self._write(candidate, frame, Path(folder))
            try:
                self._engine = Engine(Path(folder), self._settings)
                # What kernels cannot compute shows when they are first used.
                said = self._engine.next_tokens(self._canary.prompts)
            except (ValueError, RuntimeError, NotImplementedError) as error:
                if self._engine is None:
                    clear()
                raise self._refusal(error, frame, first=first) from error
        self._frame = frame
        # Shorter paths still fit.
        self._depth = frame.num_layers
        log.info("built vLLM's engine in %.1f seconds", time.perf_counter() - start)
        return said

    def _write(self, candidate: Candidate, frame: Frame, folder: Path) -> None:
        """Write the model that an engine starts with."""
        config = self._pool.model_config()
        for key, value in frame.settings.items():
            setattr(config, key, value)
        config.dtype = self._pool.dtype
        config.architectures = [type(self._live.model).__name__]
        config.save_pretrained(folder)
        _save_all(frame.weights(candidate, self._tensor(candidate)), folder)

    def _tensor(self, candidate: Candidate) -> Callable[[str], torch.Tensor]:
        """Return what gives the candidate's tensors by name."""
        return partial(self._live.tensor, candidate)

    def _refusal(self, error: Exception, frame: Frame, *, first: bool) -> EvoforgeError:
        """Return what a user is told when no engine can be built."""
        reason = reason_of(error)
        if first:
            return ConfigError(
                f"vLLM cannot run {self._pool.reference.name}: {reason}; set evaluator=hf, or the "
                "options of evaluator=vllm"
            )
        return MergeError(f"vLLM cannot run a model of {frame.num_layers} layers: {reason}")


def reason_of(error: Exception) -> str:
    """Return the line of an error of vLLM's that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("Value error, ")]
    line = next(iter([*told, *lines]), type(error).__name__)
    return line.removeprefix("Value error, ").partition(" [type=")[0].rstrip(".")


def shared_memory(size: int) -> str | None:
    """Return the folder of files in memory if it has room, else None for the usual one."""
    place = Path("/dev/shm")  # noqa: S108  # the folder in it has a name of its own
    if not place.is_dir() or shutil.disk_usage(place).free < 1.5 * size:
        return None
    return str(place)


def _save_all(weights: Iterable[tuple[str, torch.Tensor]], folder: Path) -> None:
    shard: dict[str, torch.Tensor] = {}
    for name, tensor in weights:
        # Of what a path repeats there is one tensor, which a file would hold under one name.
        shard[name] = tensor.detach().clone(memory_format=torch.contiguous_format)
        if sum(tensor.nbytes for tensor in shard.values()) > SHARD:
            _save(shard, folder)
            shard = {}
    _save(shard, folder)


def _save(shard: Mapping[str, torch.Tensor], folder: Path) -> None:
    number = len(list(folder.glob("*.safetensors")))
    save_file(dict(shard), folder / f"model-{number:05}.safetensors", metadata={"format": "pt"})
