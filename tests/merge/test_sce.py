from evoforge.merge.sce import Sce


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(Sce(pool), density=1.0),
        "0.822348 -1.384836 1.5 1.25 0.5 0.704141 -1.625 -1.375",
    )


def test_golden_vector_of_the_half_that_varies_most(pool, golden):
    golden.check(
        golden.merge(Sce(pool), density=0.5),
        "0.5 -1.407005 2 1.25 0.5 0 -1.625 -2",
    )


def test_almost_no_density_leaves_the_base(pool, golden):
    golden.check(golden.merge(Sce(pool), density=0.01), "0.5 -1 2 0.25 1.5 0 -0.75 -2")
