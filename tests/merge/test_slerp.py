import math

import pytest
import torch

from evoforge.errors import ConfigError
from evoforge.merge.slerp import Slerp, slerp
from tests.conftest import open_pico


def test_golden_vector(pool, golden):
    golden.check(
        Slerp(pool).merge(golden.part("ab", t=0.3)),
        "0.794248 -1.363799 2.244261 0.569551 0.865742 0.673789 -0.776224 -2.101873",
    )


def test_half_way_between_axes_lies_on_the_arc():
    # 45 degrees between (1, 0) and (0, 1): (cos 45, sin 45), not (0.5, 0.5).
    found = slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 0.5)
    torch.testing.assert_close(found, torch.full((2,), math.sqrt(0.5)))


def test_ends_are_the_sources_themselves():
    first, second = torch.randn(2, 100)
    assert torch.equal(slerp(first, second, 0.0), first)
    assert torch.equal(slerp(first, second, 1.0), second)


def test_parallel_and_zero_tensors_are_interpolated_straight():
    ones = torch.ones(4)
    torch.testing.assert_close(slerp(ones, 3 * ones, 0.5), 2 * ones)
    torch.testing.assert_close(slerp(ones, torch.zeros(4), 0.25), 0.75 * ones)


def test_further_sources_are_folded_in(pool, golden):
    part = golden.part("abc", t=0.3)
    two = slerp(part.tensors[0], part.tensors[1], 0.3)
    assert torch.equal(Slerp(pool).merge(part), slerp(two, part.tensors[2], 0.3))


def test_one_source_alone_is_refused(pico):
    pool = open_pico({"a": pico["a"]})
    with pytest.raises(ConfigError, match="two sources or more, got a alone"):
        Slerp(pool)


def test_first_source_has_no_gene(pool):
    space = Slerp(pool, t={"low": 0, "high": 1}).space
    assert space.names == ("all.b.t", "all.c.t")
