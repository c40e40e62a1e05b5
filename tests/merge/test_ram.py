from evoforge.merge.ram import Ram


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(Ram(pool)),
        "0.625 -1.125 1.979167 1.25 1.0625 0.729167 -0.854167 -1.71875",
    )


def test_golden_vector_with_boost(pool, golden):
    golden.check(
        golden.merge(Ram(pool), boost=0.1),
        "0.625 -1.125 1.979167 1.27 1.0625 0.729167 -0.854167 -1.71875",
    )
