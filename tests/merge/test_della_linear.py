from evoforge.merge.della_linear import DellaLinear


def test_density_one_is_task_arithmetic(pool, golden):
    golden.check(
        golden.merge(DellaLinear(pool), density=1.0, epsilon=0.15),
        "0.775 -1.15 1.96875 0.55 0.9375 0.98125 -0.7125 -1.7875",
    )


def test_golden_masks_give_what_dare_gives(pool, golden, masks):
    # With the masks given and the sums of magnitudes kept, ranks make no difference.
    golden.check(
        golden.merge(DellaLinear(pool, rescale="l1"), density=0.6, epsilon=0.15),
        "1.199941 -1.050901 2.305616 0.25 1.558333 1.649349 -1.067117 -1.775837",
    )
