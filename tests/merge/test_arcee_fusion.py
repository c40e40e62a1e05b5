from evoforge.merge.arcee_fusion import ArceeFusion


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(ArceeFusion(pool), "a", weight=1.0), "0.5 -1 2 0.25 0.5 0.75 -0.75 -2"
    )


def test_a_reach_below_everything_is_task_arithmetic(pool, golden):
    golden.check(
        golden.merge(ArceeFusion(pool), reach=-100.0),
        "0.775 -1.15 1.96875 0.55 0.9375 0.98125 -0.7125 -1.7875",
    )
