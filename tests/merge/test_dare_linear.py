import pytest

from evoforge.merge.dare_linear import DareLinear


@pytest.mark.usefixtures("masks")
def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(DareLinear(pool, rescale="l1"), density=0.6),
        "1.199941 -1.050901 2.305616 0.25 1.558333 1.649349 -1.067117 -1.775837",
    )


@pytest.mark.usefixtures("masks")
def test_golden_vector_without_rescale(pool, golden):
    golden.check(
        golden.merge(DareLinear(pool, rescale="none"), density=0.6),
        "0.85 -1 2.16875 0.25 1.5375 0.98125 -0.9375 -1.7875",
    )


@pytest.mark.usefixtures("masks")
def test_expected_rescale_divides_by_the_density(pool, golden):
    # a's first element: 0.5 + 0.6 x 0.5 / 0.6 = 1; its second is dropped.
    found = golden.merge(DareLinear(pool), "a", density=0.6)
    assert found[0, 0] == pytest.approx(1.0)
    assert found[0, 1] == -1


def test_density_one_is_task_arithmetic(pool, golden):
    golden.check(
        golden.merge(DareLinear(pool), density=1.0),
        "0.775 -1.15 1.96875 0.55 0.9375 0.98125 -0.7125 -1.7875",
    )
