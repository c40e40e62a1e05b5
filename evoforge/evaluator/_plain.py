"""What back ends have in common: logits of a text, names of devices, full memory."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from evoforge.errors import ConfigError
from evoforge.models.frame import sees

Found = TypeVar("Found")


@torch.inference_mode()
def logits(model: Any, text: Sequence[int], **inputs: Any) -> torch.Tensor:
    """Return what a model says after each token of a text: (tokens, vocabulary), on the CPU.

    Args:
        model: as transformers builds it.
        text: tokens.
        inputs: further arguments of the model, one row each, such as what it is shown.
    """
    ids = torch.tensor([text], device=model.device)
    found: torch.Tensor = model(input_ids=ids, use_cache=False, **inputs).logits[0].float().cpu()
    return found


def logits_of(
    folder: Path,
    like: Any,
    texts: Sequence[Sequence[int]],
    inputs: Sequence[Mapping[str, Any]] | None = None,
    *,
    put: Callable[[Any], Any] | None = None,
) -> list[torch.Tensor]:
    """Return the same of the model of a folder, for each text.

    Args:
        folder: of a model.
        like: a model whose type, device and attention it gets.
        texts: tokens.
        inputs: further arguments of the model for each text; None for none.
        put: puts the model where it is to lie instead of the other one's device.
    """
    model = loaded(folder, like.dtype, like.config._attn_implementation)
    model = model.to(like.device) if put is None else put(model)
    more = inputs or [{} for _ in texts]
    return [logits(model, text, **given) for text, given in zip(texts, more, strict=True)]


def loaded(folder: Path, dtype: torch.dtype, attention: str) -> Any:
    """Return the model of a folder, of text alone or of pictures too, ready to answer.

    Args:
        folder: of a model.
        dtype: of its weights.
        attention: as transformers names it.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.utils import logging as verbosity

    verbosity.disable_progress_bar()
    pictures = sees(AutoConfig.from_pretrained(folder))
    kind = AutoModelForImageTextToText if pictures else AutoModelForCausalLM
    return kind.from_pretrained(folder, dtype=dtype, attn_implementation=attention).eval()


def device_of(wanted: str) -> str:
    """Return the device that `evaluator.device` names.

    Raises:
        ConfigError: it is unknown, or not there.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        index = torch.device(wanted).index or 0
    except RuntimeError as error:
        raise ConfigError(
            f"device must be auto, cpu, cuda or cuda:N, got {wanted}; set evaluator.device"
        ) from error
    if wanted.startswith("cuda") and index >= max(1, torch.cuda.device_count()):
        raise ConfigError(
            f"there are {torch.cuda.device_count()} CUDA devices, got {wanted}; "
            "set evaluator.device"
        )
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"there is no CUDA device for evaluator.device={wanted}; set it to cpu")
    return wanted


def check_count(option: str, value: int | None) -> None:
    """Refuse a number of things that is less than one; None stands for a number found later.

    Raises:
        ConfigError: it is.
    """
    if value is not None and value < 1:
        raise ConfigError(f"{option} must be at least 1, got {value}; set evaluator.{option}")


def or_halve(ask: Callable[[int], Found], batch_size: int) -> Found:
    """Return what `ask` says of a batch size; if the memory is not enough, of half of it."""
    try:
        return ask(batch_size)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error) or batch_size == 1:
            raise
    # Only here, where nothing holds the error any more, is the memory free.
    torch.cuda.empty_cache()
    return ask(batch_size // 2)


def _out_of_memory(error: Exception) -> bool:
    """Whether an error says that the memory was not enough."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        "can't allocate memory" in str(error) or "not enough memory" in str(error)
    )
