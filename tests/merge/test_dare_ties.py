import pytest

from evoforge.merge.dare_ties import DareTies


def test_golden_vector_of_everything_kept(pool, golden):
    golden.check(
        golden.merge(DareTies(pool), density=1.0),
        "0.85 -1.3 1.8 0.55 0.9 0.98125 -0.45 -1.75",
    )


@pytest.mark.usefixtures("masks")
def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(DareTies(pool, rescale="l1"), density=0.6),
        "1.199941 -1.233333 2.305616 0.25 1.558333 1.649349 -1.158333 -1.695946",
    )


@pytest.mark.usefixtures("masks")
def test_golden_vector_without_rescale(pool, golden):
    golden.check(
        golden.merge(DareTies(pool, rescale="none"), density=0.6),
        "0.85 -0.85 2.16875 0.25 1.5375 0.98125 -1.0125 -1.75",
    )
