import pytest
import torch

from evoforge.merge._engine import parts
from evoforge.merge.base import Whole
from evoforge.merge.della import Della


def test_golden_vector(pool, golden, masks):
    merger = Della(pool, normalize=True, rescale="l1")
    golden.check(
        golden.merge(merger, density=0.6, epsilon=0.15),
        "1.199941 -1.777778 2.339573 0.25 1.694444 1.26873 -2.111111 -1.239865",
    )


def chances(merger, golden, sources="abc", **values):
    whole = golden.whole(merger, sources, **values)
    (part,) = parts(whole, merger.numbers(whole))
    return [merger.chance(part, i, part.delta(i)) for i in range(len(sources))]


def test_golden_probabilities(pool, golden):
    found = chances(Della(pool), golden, density=0.6, epsilon=0.15)
    wanted = {0: [0.75, 0.65, 0.55, 0.45, 0.75, 0.65, 0.55, 0.45]}
    wanted[1] = [0.45, 0.65, 0.55, 0.75, 0.55, 0.65, 0.75, 0.45]
    for index, row in wanted.items():
        torch.testing.assert_close(found[index], torch.tensor(row).view(2, 4))


def test_probabilities_of_long_rows_are_near_those_of_exact_ranks(pool):
    delta = torch.randn(3, 1001, generator=torch.Generator().manual_seed(0))
    whole = Whole(
        "w",
        torch.zeros(3, 1001),
        [delta],
        ["a"],
        [{"weight": 1, "density": 0.5, "epsilon": 0.2}],
        {"lambda_": 1.0},
    )
    merger = Della(pool)
    (part,) = parts(whole, merger.numbers(whole))
    found = merger.chance(part, 0, part.delta(0))
    ranks = delta.abs().argsort(1).argsort(1) / 1000
    assert (found - (0.3 + 0.4 * ranks)).abs().max() <= 0.4 * 0.035


def test_density_near_the_ends_leaves_less_for_epsilon(pool, golden):
    (found,) = chances(Della(pool), golden, "a", density=0.95, epsilon=0.15)
    assert found.min() == pytest.approx(0.9)
    assert found.max() == pytest.approx(1.0)


def test_density_one_keeps_everything(pool, golden):
    golden.check(
        golden.merge(Della(pool), density=1.0, epsilon=0.15),
        "0.85 -1.3 1.8 0.55 0.9 0.98125 -0.45 -1.75",
    )


@pytest.mark.parametrize("rescale", ["expected", "l1"])
def test_what_is_kept_adds_up_to_what_was_there(pool, rescale):
    # Mean of a million elements of one sign: standard error about 0.001.
    delta = torch.rand(1000, 1000, generator=torch.Generator().manual_seed(1))
    values = [{"weight": 1.0, "density": 0.4, "epsilon": 0.3}]
    whole = Whole("w", torch.zeros(1000, 1000), [delta], ["a"], values, {"lambda_": 1.0})
    out = torch.empty(1000, 1000)
    Della(pool, rescale=rescale).write(whole, out)
    assert float(out.mean()) == pytest.approx(float(delta.mean()), abs=0.005)
    assert float((out == 0).float().mean()) == pytest.approx(0.6, abs=0.005)
