import pytest
import torch

from evoforge.merge._magnitudes import Magnitudes, Ranks
from evoforge.merge.base import Whole

DENSITIES = (0.001, 0.1, 0.3, 0.5, 0.73, 0.999, 1.0)


def deltas(size, kind):
    """Return a task vector, and the blocks it comes in, of models of one type."""
    generator = torch.Generator().manual_seed(size)
    base = torch.randn(size, generator=generator)
    tuned = base + 0.01 * torch.randn(size, generator=generator)
    delta = tuned.to(kind).float() - base.to(kind).float()
    return delta, lambda block: iter(delta.split(block))


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [1, 7, 1000, 200_001, 1_500_000])
def test_every_rank_is_exact(size, kind):
    delta, blocks = deltas(size, kind)
    ordered = delta.abs().sort(descending=True).values
    ranks = Magnitudes(blocks)
    for density in DENSITIES:
        rank = max(1, int(density * size))
        assert ranks.largest(rank, blocks) == float(ordered[rank - 1])
    assert ranks.size == size
    assert ranks.zeros == int((delta == 0).sum())


def test_large_task_vectors_of_short_mantissas_are_read_once():
    delta, _ = deltas(1_500_000, torch.bfloat16)
    read = []

    def blocks(size):
        read.append(size)
        return iter(delta.split(size))

    ranks = Magnitudes(blocks)
    for rank in range(1, 1_500_000, 100_000):
        ranks.largest(rank, blocks)
    assert len(read) == 1


def test_a_zero_task_vector_has_ranks_too():
    def blocks(size):
        return iter(torch.zeros(10).split(size))

    ranks = Magnitudes(blocks)
    assert ranks.largest(1, blocks) == ranks.largest(10, blocks) == 0.0


def whole(delta):
    return Whole("w", torch.zeros_like(delta), [delta], ["a"], [{}])


def test_threshold_keeps_at_least_one_element():
    found = Ranks().threshold(whole(torch.tensor([1.0, -3.0, 0.5])), 0, 0.01)
    assert found == 3.0


def test_threshold_of_everything_is_nothing():
    assert Ranks().threshold(whole(torch.tensor([1.0, -3.0, 0.5])), 0, 1.0) == 0.0
