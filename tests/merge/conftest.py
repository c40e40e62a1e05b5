"""The golden tensors: one base, three task vectors, and what other implementations make of them."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from evoforge.merge import _dare, _della
from evoforge.merge.base import TensorMerger, Whole

BASE = [0.5, -1, 2, 0.25, 1.5, 0, -0.75, -2]
DELTAS = {
    "a": [0.5, -0.25, 0.125, 0, -1, 0.75, 0.375, -0.0625],
    "b": [-0.25, -0.5, 0.3125, 1, 0.125, 0.4375, -0.875, 0],
    "c": [0.125, 0.375, -0.5, 0, 0, 1, 0.1875, 0.625],
}
WEIGHTS = {"a": 0.6, "b": 0.3, "c": 0.4}


def tensor(values: list[float]) -> torch.Tensor:
    return torch.tensor(values).view(2, 4)


class Golden:
    """Merges the golden tensors, and compares what comes out."""

    def whole(
        self, merger: TensorMerger, sources: str = "abc", **values: float | list[float]
    ) -> Whole:
        """Return the golden tensors of some sources; a list gives one number for each."""
        base = tensor(BASE)
        columns = {
            key: value if isinstance(value, list) else [value] * len(sources)
            for key, value in {"weight": [WEIGHTS[s] for s in sources], **values}.items()
        }
        shared = {key: given.init for key, given in merger.shared.items()}
        return Whole(
            name="golden",
            base=base if merger.needs_base else None,
            tensors=[base + tensor(DELTAS[s]) for s in sources],
            sources=list(sources),
            values=[{k: v[i] for k, v in columns.items()} for i in range(len(sources))],
            shared={**shared, **{k: v for k, v in values.items() if k in merger.shared}},
        )

    def merge(self, merger: TensorMerger, sources: str = "abc", **values: Any) -> torch.Tensor:
        """Return what a merger makes of the golden tensors."""
        out = torch.empty(2, 4)
        merger.write(self.whole(merger, sources, **values), out)
        return out

    @staticmethod
    def row(merger: TensorMerger, whole: Whole, row: int) -> torch.Tensor:
        """Return what a merger makes of one row of a tensor alone."""
        out = torch.empty(1, 4)
        cut = slice(row, row + 1)
        base = None if whole.base is None else whole.base[cut]
        alone = replace(whole, name=f"row{row}", base=base, tensors=[t[cut] for t in whole.tensors])
        merger.write(alone, out)
        return out[0]

    @staticmethod
    def check(found: torch.Tensor, wanted: str) -> None:
        expected = torch.tensor([float(word) for word in wanted.split()]).view(2, 4)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


@pytest.fixture
def golden() -> Golden:
    return Golden()


MASKS = {"a": "10110101", "b": "01101110", "c": "11000111"}


@pytest.fixture
def masks(monkeypatch):
    """Replace DARE's and DELLA's random masks by those of the golden vectors."""

    def mask(part, index, *chance):
        bits = [bit == "1" for bit in list(MASKS.values())[index]]
        return torch.tensor(bits).view(part.tensors[index].shape).float()

    monkeypatch.setattr(_dare, "kept", mask)
    monkeypatch.setattr(_della.Magprune, "mask", lambda self, *given: mask(*given))


@pytest.fixture
def mergekit_file(pico, tmp_path):
    """A mergekit file of a TIES merge of the pico models a and b."""
    path = tmp_path / "recipe.yml"
    path.write_text(
        f"""
merge_method: ties
base_model: {pico["base"]}
models:
  - model: {pico["a"]}
    parameters: {{weight: [0.5, 0.8], density: 0.4}}
  - model: {pico["b"]}
    parameters: {{weight: 0.3, density: 0.9}}
"""
    )
    return path
