import pytest
import torch

from evoforge.errors import MergeError
from evoforge.merge.base import Whole
from evoforge.merge.multislerp import Multislerp


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(Multislerp(pool)),
        "0.768453 -1.131955 2.046133 0.459556 1.132806 0.829175 -0.712654 -1.907231",
    )


def test_golden_vector_of_task_vectors(pool, golden):
    golden.check(
        golden.merge(Multislerp(pool, task_vectors=True)),
        "0.827136 -1.15068 1.943257 0.570055 0.847378 1.146174 -0.67906 -1.739115",
    )


def test_directions_that_cancel_are_refused(pool):
    # Three unit vectors at 120 degrees: their mean is nothing.
    vectors = [[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]]
    values = [{"weight": 1.0}] * 3
    whole = Whole("w", None, [torch.tensor([v]) for v in vectors], ["a", "b", "c"], values)
    with pytest.raises(MergeError, match="directions in w cancel each other"):
        Multislerp(pool).write(whole, torch.empty(1, 2))
