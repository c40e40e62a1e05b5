import pytest

from evoforge.errors import ConfigError
from evoforge.merge.model_stock import ModelStock
from tests.conftest import open_pico


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(ModelStock(pool)),
        "0.528459 -1.028459 1.995257 0.325891 1.433595 0.166011 -0.773716 -1.957311",
    )


def test_golden_vector_by_rows(pool, golden):
    golden.check(
        golden.merge(ModelStock(pool, along="row")),
        "0.338207 -0.838207 2.026966 -0.181448 1.369739 0.325653 -0.796522 -1.916261",
    )


def test_only_the_factor_on_the_whole_is_searched(pool):
    space = ModelStock(pool, lambda_={"low": 0, "high": 2}).space
    assert space.names == ("all.*.lambda_",)


def test_one_source_has_no_angle(pico):
    pool = open_pico({name: pico[name] for name in ("base", "a")})
    with pytest.raises(ConfigError, match="takes 2 sources or more beside the base, got 1"):
        ModelStock(pool)


def test_columns_are_no_filters(pool):
    with pytest.raises(ConfigError, match="along must be one of tensor, row, got column"):
        ModelStock(pool, along="column")
