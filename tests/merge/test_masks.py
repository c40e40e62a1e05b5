import pytest
import torch

from evoforge.merge._engine import parts
from evoforge.merge._masks import kept, mask_numbers, words
from evoforge.merge.base import Whole


def mask(key, size, density, keep=False):
    """Return a mask as merging sees it, put together from all parts."""
    whole = Whole("w", None, [torch.empty(size)], ["a"], [{}])
    numbers = mask_numbers([key], [density], size, keep=keep)
    return torch.cat([kept(part, 0) for part in parts(whole, numbers)])


def test_density_one_keeps_everything():
    assert mask("k", 100_000, 1.0).all()
    assert mask("k", 1000, 1 - 1e-12).all()


@pytest.mark.parametrize("density", [0.05, 0.5, 0.9])
def test_masks_keep_the_share_asked_for(density):
    # Standard error of the share over a million draws is at most 0.0005.
    assert abs(float(mask("0/abc/x", 1_000_000, density).mean()) - density) < 0.0025


def test_masks_of_other_seeds_sources_and_tensors_are_unrelated():
    first = mask("0/abc/x", 200_000, 0.5)
    for key in ("1/abc/x", "0/abd/x", "0/abc/y"):
        other = mask(key, 200_000, 0.5)
        assert abs(torch.corrcoef(torch.stack([first, other]))[0, 1]) < 0.01


def test_neighbouring_elements_of_a_mask_are_unrelated():
    found = mask("0/abc/x", 1 << 19, 0.5)
    for lag in (1, 2, 64, 1000, 1 << 17):
        pair = torch.stack([found[:-lag], found[lag:]])
        assert abs(torch.corrcoef(pair)[0, 1]) < 0.01


def test_a_mask_is_the_same_for_ever():
    # Golden bits: a change here would change every model that was ever exported.
    found = mask("0/abc/model.norm.weight", 16, 0.5)
    assert "".join(str(int(bit)) for bit in found) == "0001110111010010"


def test_words_that_are_kept_are_those_that_are_made():
    assert torch.equal(mask("k", 50_000, 0.3, keep=True), mask("k", 50_000, 0.3))


def test_words_do_not_depend_on_the_part_they_are_asked_for_in():
    whole = Whole("w", None, [torch.empty(300_000)], ["a"], [{}])
    numbers = mask_numbers(["k"], [0.5], 300_000, keep=False)
    cut = torch.cat([words(part, 0) for part in parts(whole, numbers)])
    (part,) = parts(Whole("w", None, [torch.empty(1000)], ["a"], [{}]), numbers)
    assert torch.equal(cut[:1000], words(part, 0))
    assert cut.unique().numel() > 299_900  # 32-bit words of 300,000 places hardly ever meet
