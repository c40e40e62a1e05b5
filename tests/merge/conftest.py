"""The golden tensors: one base, three task vectors, and what other implementations make of them."""

import pytest
import torch

from evoforge.merge import dare_linear
from evoforge.merge.base import Part

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
    """Makes parts of the golden tensors, and compares what comes out."""

    def part(self, sources: str = "abc", **values: float | list[float]) -> Part:
        """Return the part of some sources; a list gives one number for each."""
        base = tensor(BASE)
        columns = {
            key: value if isinstance(value, list) else [value] * len(sources)
            for key, value in {"weight": [WEIGHTS[s] for s in sources], **values}.items()
        }
        return Part(
            name="golden",
            base=base,
            tensors=[base + tensor(DELTAS[s]) for s in sources],
            sources=list(sources),
            values=[{k: v[i] for k, v in columns.items()} for i in range(len(sources))],
        )

    @staticmethod
    def check(found: torch.Tensor, wanted: str) -> None:
        expected = torch.tensor([float(word) for word in wanted.split()]).view(2, 4)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


@pytest.fixture
def golden() -> Golden:
    return Golden()


MASKS = {"a": "10110101", "b": "01101110", "c": "11000111"}


@pytest.fixture
def masks(pool, monkeypatch):
    """Replace DARE's random masks by those of the golden vectors."""
    of_hash = {pool.hash(name): mask for name, mask in MASKS.items()}

    def mask(key, shape, density, device):
        bits = of_hash[key.split("/")[1]]
        return torch.tensor([bit == "1" for bit in bits]).view(shape)

    monkeypatch.setattr(dare_linear, "random_mask", mask)
