"""A merge of adapters that is an adapter itself: its matrices are theirs, side by side.

A weighted sum of products is the product of the stacked matrices,
sum_m w_m s_m B_m A_m = [w_1 s_1 B_1, w_2 s_2 B_2, ...] [A_1; A_2; ...], so nothing is approximated;
the rank is the sum of the ranks.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from evoforge.errors import MergeError
from evoforge.models.adapter import PREFIX, SETTINGS, STORED
from evoforge.models.expanded import Change, Expanded
from evoforge.models.layout import Place, place
from evoforge.models.source import Source

Weights = Sequence[float] | Callable[[str], Sequence[float]]


@dataclass(frozen=True)
class Combined:
    """An adapter that was made of others.

    Args:
        settings: what adapter_config.json says.
        tensors: by their names in the file of peft, float32.
    """

    settings: dict[str, Any]
    tensors: dict[str, torch.Tensor]

    def save(self, folder: Path) -> None:
        """Write the adapter as peft does; `PeftModel.from_pretrained(base, folder)` loads it."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.settings, indent=2, sort_keys=True)
        (folder / SETTINGS).write_text(text + "\n", "utf-8")
        save_file(self.tensors, folder / STORED, metadata={"format": "pt"})


def combined(adapters: Sequence[Source], weights: Weights) -> Combined:
    """Return the adapter that gives base + sum_m w_m (adapter_m - base), exactly.

    Args:
        adapters: sources that are adapters of one model.
        weights: one number for each adapter, or what gives them for the name of a tensor.

    Raises:
        MergeError: a source is no adapter, or of another model, or does more than add matrices.
    """
    changes = [_changes(source, adapters[0]) for source in adapters]
    of = weights if callable(weights) else lambda _: weights
    tensors: dict[str, torch.Tensor] = {}
    ranks: dict[str, int] = {}
    for name in sorted({name for found in changes for name in found}):
        numbers = of(name)
        if len(numbers) != len(adapters):
            raise MergeError(f"{len(adapters)} adapters need as many weights, got {len(numbers)}")
        given = [
            (found[name], w) for found, w in zip(changes, numbers, strict=True) if name in found
        ]
        module, stacked = _stacked(given, place(name) == Place(None, "embedding"))
        tensors.update(stacked)
        ranks[module] = sum(_matrices(change)[0].shape[0] for change, _ in given)
    transposed = any(
        change.transposed and place(name) != Place(None, "embedding")
        for found in changes
        for name, change in found.items()
    )
    return Combined(_settings(adapters[0], ranks, transposed), tensors)


def _changes(source: Source, first: Source) -> dict[str, Change]:
    if source.adapter is None or source.changed is None:
        raise MergeError(f"{source.name} is no adapter, so the merge is none; export a whole model")
    if first.changed is None or source.changed.hash != first.changed.hash:
        raise MergeError(
            f"{source.name} and {first.name} are adapters of different models, so the merge is "
            "none; export a whole model"
        )
    assert isinstance(source.tensors, Expanded)
    for name, change in source.tensors.changes.items():
        if change.instead is not None or change.added is not None:
            raise MergeError(
                f"{source.name} replaces {name} or adds to a bias, which matrices side by side "
                "cannot do; export a whole model"
            )
    return dict(source.tensors.changes)


def _stacked(
    given: Sequence[tuple[Change, float]], embedding: bool
) -> tuple[str, dict[str, torch.Tensor]]:
    """Return a module, and its matrices: (sum of ranks, in) and (out, sum of ranks)."""
    pairs = [(*_matrices(change), change.scaling * weight) for change, weight in given]
    down = torch.cat([down.float() for down, _, _ in pairs])
    up = torch.cat([up.float() * factor for _, up, factor in pairs], dim=1)
    module = given[0][0].module
    names = ("lora_embedding_A", "lora_embedding_B")
    if not embedding:
        names = ("lora_A.weight", "lora_B.weight")
    return module, {
        f"{PREFIX}{module}.{name}": matrix.contiguous()
        for name, matrix in zip(names, (down, up), strict=True)
    }


def _matrices(change: Change) -> tuple[torch.Tensor, torch.Tensor]:
    assert change.down is not None
    assert change.up is not None
    return change.down, change.up


def _settings(first: Source, ranks: dict[str, int], transposed: bool) -> dict[str, Any]:
    """Return the settings: alpha equals the rank of each module, so nothing is scaled again."""
    assert first.changed is not None
    rank = Counter(ranks.values()).most_common(1)[0][0]
    other = {module: size for module, size in ranks.items() if size != rank}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": first.changed.spec.path,
        "revision": first.changed.revision,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": other,
        "alpha_pattern": other,
        "target_modules": sorted(ranks),
        "fan_in_fan_out": transposed,
        "lora_dropout": 0.0,
        "bias": "none",
    }
