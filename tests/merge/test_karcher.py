import math

import pytest
import torch

from evoforge.errors import ConfigError
from evoforge.merge.base import Whole
from evoforge.merge.karcher import Karcher


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(Karcher(pool), weight=1.0),
        "0.690915 -1.13884 2.053208 0.553906 1.280155 0.815278 -0.838465 -1.888236",
    )


def test_weights_move_the_mean_along_the_arc(pool):
    # Between two axes with weights 2 and 1: a third of the way, at 30 degrees.
    values = [{"weight": 2.0}, {"weight": 1.0}]
    tensors = [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])]
    out = torch.empty(1, 2)
    Karcher(pool).write(Whole("w", None, tensors, ["a", "b"], values), out)
    wanted = torch.tensor([[math.cos(math.pi / 6), math.sin(math.pi / 6)]])
    torch.testing.assert_close(out, wanted)


@pytest.mark.parametrize("options", [{"tolerance": 0.0}, {"tolerance": -1}, {"max_iterations": -3}])
def test_steps_out_of_range_name_the_option(pool, options):
    (name,) = options
    with pytest.raises(ConfigError, match=f"{name} must be .* set merge.{name}"):
        Karcher(pool, **options)
