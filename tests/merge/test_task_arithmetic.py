from evoforge.merge.task_arithmetic import TaskArithmetic


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(TaskArithmetic(pool)),
        "0.775 -1.15 1.96875 0.55 0.9375 0.98125 -0.7125 -1.7875",
    )


def test_golden_vector_with_lambda(pool, golden):
    golden.check(
        golden.merge(TaskArithmetic(pool, lambda_=0.5)),
        "0.6375 -1.075 1.984375 0.4 1.21875 0.490625 -0.73125 -1.89375",
    )


def test_normalize_divides_by_the_sum_of_weights(pool, golden):
    # Weights 2 and 2 of two equal task vectors: 4 delta / 4 = delta.
    golden.check(
        golden.merge(TaskArithmetic(pool, normalize=True), "aa", weight=2.0),
        "1.0 -1.25 2.125 0.25 0.5 0.75 -0.375 -2.0625",
    )
