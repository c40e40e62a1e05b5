import math

import pytest
import torch

from evoforge.errors import ConfigError
from evoforge.merge.base import Whole
from evoforge.merge.slerp import Slerp
from tests.conftest import open_pico


def slerp(pool, *tensors, t):
    values = [{}, *[{"t": t}] * (len(tensors) - 1)]
    whole = Whole("w", None, tensors, ["a", "b", "c"][: len(tensors)], values)
    out = torch.empty(tensors[0].shape)
    Slerp(pool).write(whole, out)
    return out


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(Slerp(pool), "ab", t=0.3),
        "0.794248 -1.363799 2.244261 0.569551 0.865742 0.673789 -0.776224 -2.101873",
    )


def test_half_way_between_axes_lies_on_the_arc(pool):
    # 45 degrees between (1, 0) and (0, 1): (cos 45, sin 45), not (0.5, 0.5).
    found = slerp(pool, torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), t=0.5)
    torch.testing.assert_close(found, torch.full((2,), math.sqrt(0.5)))


def test_ends_are_the_sources_themselves(pool):
    first, second = torch.randn(2, 100, generator=torch.Generator().manual_seed(0))
    assert torch.equal(slerp(pool, first, second, t=0.0), first)
    assert torch.equal(slerp(pool, first, second, t=1.0), second)


@pytest.mark.parametrize(("other", "t", "wanted"), [(3.0, 0.5, 2.0), (0.0, 0.25, 0.75)])
def test_parallel_and_zero_tensors_are_interpolated_straight(pool, other, t, wanted):
    found = slerp(pool, torch.ones(4), torch.full((4,), other), t=t)
    torch.testing.assert_close(found, torch.full((4,), wanted))


def test_further_sources_are_folded_in(pool, golden):
    first, second, third = golden.whole(Slerp(pool), "abc").tensors
    two = slerp(pool, first, second, t=0.3)
    found = slerp(pool, first, second, third, t=0.3)
    torch.testing.assert_close(found, slerp(pool, two, third, t=0.3), rtol=1e-5, atol=1e-6)


def test_one_source_alone_is_refused(pico):
    pool = open_pico({"a": pico["a"]})
    with pytest.raises(ConfigError, match="slerp takes 2 sources or more beside the base, got 1"):
        Slerp(pool)


def test_first_source_has_no_gene(pool):
    space = Slerp(pool, t={"low": 0, "high": 1}).space
    assert space.names == ("all.b.t", "all.c.t")
