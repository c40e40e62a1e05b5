import pytest
import torch

from evoforge.merge.nuslerp import Nuslerp

PAIR = [0.7, 0.3]


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(Nuslerp(pool), "ab", weight=PAIR),
        "0.794248 -1.363799 2.244261 0.569551 0.865742 0.673789 -0.776224 -2.101873",
    )


def test_golden_vector_of_task_vectors(pool, golden):
    golden.check(
        golden.merge(Nuslerp(pool, task_vectors=True), "ab", weight=PAIR),
        "0.835696 -1.458315 2.258204 0.714747 0.654328 0.881151 -0.817742 -2.056485",
    )


def test_golden_vector_along_columns(pool, golden):
    merger = Nuslerp(pool, task_vectors=True, along="column")
    golden.check(
        golden.merge(merger, "ab", weight=PAIR),
        "1.036344 -1.335897 2.542665 0.703991 0.001549 0.674908 -1.109771 -2.055688",
    )


def test_rows_are_interpolated_each_on_its_own(pool, golden):
    # Rows of a 2x4 tensor, each merged as a tensor of its own, give the same.
    found = golden.merge(Nuslerp(pool, along="row"), "ab", weight=PAIR)
    whole = golden.whole(Nuslerp(pool), "ab", weight=PAIR)
    for row in range(2):
        assert (golden.row(Nuslerp(pool), whole, row) - found[row]).abs().max() < 1e-6


def test_weights_of_nothing_count_alike(pool, golden):
    alike = golden.merge(Nuslerp(pool), "ab", weight=[0.5, 0.5])
    assert (golden.merge(Nuslerp(pool), "ab", weight=0.0) == alike).all()


@pytest.mark.parametrize("along", ["row", "column"])
def test_a_tensor_with_one_dimension_is_one_vector(pool, along):
    found = []
    for kind in ("tensor", along):
        merger = Nuslerp(pool, weight=0.5, along=kind)
        recipe = merger.recipe_of({"all": {"a": {"weight": 0.3}, "b": {"weight": 0.7}}})
        found.append(merger.build(recipe).tensor("model.norm.weight"))
    torch.testing.assert_close(*found)
