import pytest
import torch

from evoforge.merge._reduce import norm, total
from evoforge.merge._task_vectors import Magnitudes, keep_largest, random_mask


@pytest.mark.parametrize("density", [0.001, 0.1, 0.5, 0.73, 0.999])
@pytest.mark.parametrize("size", [7, 1000, 400_001])
def test_threshold_is_the_exact_kth_magnitude(density, size):
    delta = torch.randn(size, generator=torch.Generator().manual_seed(size))
    count = max(1, int(density * size))
    expected = delta.abs().sort(descending=True).values[count - 1]
    assert Magnitudes(delta).threshold(delta, count) == float(expected)


def test_ties_at_the_threshold_are_all_kept():
    delta = torch.tensor([1.0, -1.0, 0.5, 2.0])
    kept = keep_largest(delta, 0.5, Magnitudes(delta))
    assert kept.tolist() == [1.0, -1.0, 0.0, 2.0]


def test_at_least_one_element_is_kept():
    delta = torch.tensor([1.0, -3.0, 0.5])
    assert keep_largest(delta, 0.01, Magnitudes(delta)).tolist() == [0.0, -3.0, 0.0]


def test_zero_task_vector_stays_zero():
    delta = torch.zeros(10)
    assert not keep_largest(delta, 0.5, Magnitudes(delta)).any()


def test_a_density_just_below_one_keeps_everything():
    assert random_mask("k", torch.Size([1000]), 1 - 1e-12).all()


@pytest.mark.parametrize("density", [0.05, 0.5, 0.9])
def test_masks_keep_the_share_asked_for(density):
    mask = random_mask("0/abc/x", torch.Size([1000, 1000]), density)
    # Standard error of the share over a million draws is at most 0.0005.
    assert abs(mask.mean().item() - density) < 0.0025


def test_masks_of_other_seeds_sources_and_tensors_are_unrelated():
    shape = torch.Size([200_000])
    first = random_mask("0/abc/x", shape, 0.5)
    for key in ("1/abc/x", "0/abd/x", "0/abc/y"):
        other = random_mask(key, shape, 0.5)
        assert abs(torch.corrcoef(torch.stack([first, other]))[0, 1]) < 0.01


def test_neighbouring_elements_of_a_mask_are_unrelated():
    mask = random_mask("0/abc/x", torch.Size([1 << 19]), 0.5)
    for lag in (1, 2, 64, 1000, 1 << 18):
        pair = torch.stack([mask[:-lag], mask[lag:]])
        assert abs(torch.corrcoef(pair)[0, 1]) < 0.01


def test_a_mask_does_not_depend_on_the_shape_it_is_cut_into():
    long = random_mask("k", torch.Size([600_000]), 0.3)
    assert torch.equal(long.view(600, 1000), random_mask("k", torch.Size([600, 1000]), 0.3))


def test_a_mask_is_the_same_for_ever():
    # Golden bits: a change here would change every model that was ever exported.
    mask = random_mask("0/abc/model.norm.weight", torch.Size([16]), 0.5)
    assert "".join(str(int(bit)) for bit in mask) == "0001110111010010"


def test_sums_do_not_depend_on_threads():
    values = torch.randn(1_000_003, generator=torch.Generator().manual_seed(1))
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append((total(values), norm(values)))
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1]
    assert found[0][0] == pytest.approx(values.double().sum().item())
