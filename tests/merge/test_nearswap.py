from evoforge.merge.nearswap import Nearswap


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(Nearswap(pool), "ab", t=0.25),
        "0.75 -1.5 2.3125 0.5 0.75 0.5 -0.625 -2",
    )


def test_no_element_moves_further_than_t(pool, golden):
    first = golden.merge(Nearswap(pool), "abc", t=0.0)
    moved = golden.merge(Nearswap(pool), "abc", t=[0.0, 0.125, 0.25])
    assert (moved - first).abs().max() <= 0.375 + 1e-6
