"""Named protocols: what a published evaluation, or ours, sets together.

An option of a task that is null is the protocol's; one that is given stands, and the protocol is
then called changed.
"""

from collections.abc import Mapping
from typing import Any, Final

from evoforge.errors import ConfigError

JAPANESE: Final[Mapping[str, Any]] = {
    "code": "ja",
    "rule": "fasttext",
    "threshold": 0.5,
    "at_least": False,
}
# One word for the paper's two evaluations: which of them is meant, the judge says.
BY_JUDGE: Final[Mapping[tuple[str, str], str]] = {("sakana", "rougel"): "sakana_vlm"}

PROTOCOLS: Final[Mapping[str, Mapping[str, Any]]] = {
    # Ours: numbers as a reader reads them; an answer is over where it goes on to a new heading.
    "robust": {
        "max_new_tokens": 512,
        "stop": ["### "],
        "extraction": "robust",
        "special_tokens": True,
        "separate": False,
        "beams": 1,
        "repetition_penalty": 1.0,
        "tokens": "char",
    },
    # The paper's evaluation of MGSM-JA, with its quirks. Reference: Akiba 2024,
    # https://arxiv.org/abs/2403.13187; evomerge/eval/ja_mgsm.py at 09aff54.
    "sakana": {
        "max_new_tokens": 1024,
        "stop": ["Instruction:", "Instruction", "Response:", "Response"],
        "extraction": "sakana",
        "special_tokens": True,
        "language": JAPANESE,
        "description": "",
        "shots": None,
        "chat": False,
        "judge": "number",
        "gold_length_plus": None,
        "beams": 1,
        "repetition_penalty": 1.0,
        "tokens": "mecab",
    },
    # The paper's evaluation of vision-language models, for JA-VG-VQA-500 and JA-VLM-Bench. At one
    # half a text is in the language. Reference: the same; evomerge/eval/utils.py and metrics.py at
    # 09aff54, and configs/vlm/evovlm-v1-jp-7b.yaml.
    "sakana_vlm": {
        "max_new_tokens": 512,
        "stop": [],
        "extraction": "sakana",
        "special_tokens": True,
        "language": {**JAPANESE, "at_least": True},
        "description": "",
        "shots": None,
        "chat": False,
        "judge": "rougel",
        "gold_length_plus": None,
        "beams": 5,
        "repetition_penalty": 1.5,
        "tokens": "mecab",
        "bootstrap": {"samples": 1000, "seed": 42},
    },
    # The Japanese harness: Stability-AI/lm-evaluation-harness, branch jp-stable, at effdbea.
    "jp_stable": {
        "max_new_tokens": 256,
        "stop": ["\n"],
        "extraction": "integer",
        "special_tokens": False,
        "separate": True,
        "chat": False,
        "beams": 1,
        "repetition_penalty": 1.0,
        "tokens": "model",
    },
}


def protocol_of(name: str, judge: str) -> str:
    """Return the protocol that a name means for a judge: `sakana` has one more for ROUGE-L.

    Raises:
        ConfigError: there is no such protocol.
    """
    if not isinstance(name, str) or name not in PROTOCOLS:
        raise ConfigError(
            f"protocol must be one of {', '.join(PROTOCOLS)}, got {name}; set task.protocol"
        )
    return BY_JUDGE.get((name, judge), name)


def settle(name: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return all options, and the names of those that are not the protocol's.

    Args:
        name: of a protocol.
        given: the options that the user gave; None for the protocol's.

    Raises:
        ConfigError: there is no such protocol.
    """
    protocol = PROTOCOLS[protocol_of(name, "")]
    values = {key: protocol.get(key) if value is None else value for key, value in given.items()}
    changed = sorted(
        key for key in values if key in protocol and _plain(values[key]) != _plain(protocol[key])
    )
    return values, changed


def _plain(value: Any) -> Any:
    """Return a value as it is compared: the kind of a list does not matter."""
    return list(value) if isinstance(value, list | tuple) else value
