import pytest

from evoforge.errors import ConfigError
from evoforge.merge.linear import Linear


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(Linear(pool)),
        "0.711538 -1.115385 1.975962 0.480769 1.067308 0.754808 -0.721154 -1.836538",
    )


def test_golden_vector_without_normalisation(pool, golden):
    golden.check(
        golden.merge(Linear(pool, normalize=False)),
        "0.925 -1.45 2.56875 0.625 1.3875 0.98125 -0.9375 -2.3875",
    )


def test_weights_that_cancel_are_not_divided_by(pool, golden):
    # 1 a - 1 b: the sum of weights is 0, so the difference itself comes out.
    golden.check(
        golden.merge(Linear(pool), "ab", weight=[1.0, -1.0]),
        "0.75 0.25 -0.1875 -1 -1.125 0.3125 1.25 -0.0625",
    )


def test_needs_no_base_and_has_a_gene_for_each_source(pool):
    space = Linear(pool, weight={"low": 0, "high": 1}).space
    assert space.names == ("all.a.weight", "all.b.weight", "all.c.weight")


def test_weight_out_of_bounds_names_the_option(pool):
    with pytest.raises(ConfigError, match=r"weight must be in \[-10, 10\], got 11.0; set merge"):
        Linear(pool, weight=11)
