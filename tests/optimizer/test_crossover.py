import numpy as np
import pytest

from evoforge.optimizer._crossover import blx, crossed, one_point, sbx, spread_factor, uniform
from evoforge.optimizer._genes import Genes


class Dice:
    """Throws what it is given, in turn."""

    def __init__(self, *throws):
        self.throws = list(throws)

    def random(self, shape):
        return np.full(shape, self.throws.pop(0))


def generator(seed=0):
    return np.random.default_rng(seed)


def parents(n, dim, seed=0):
    drawn = generator(seed).random((2, n, dim))
    return drawn[0], drawn[1]


def test_uniform_takes_each_gene_from_either_parent():
    first, second = parents(2000, 4)
    child = uniform(first, second, generator())
    assert ((child == first) | (child == second)).all()
    assert (child == first).mean(0) == pytest.approx([0.5] * 4, abs=0.04)


def test_one_point_cuts_at_borders_of_layers_only():
    layers = np.array([0, 0, 1, 1, 2, 2])
    first, second = np.zeros((900, 6)), np.ones((900, 6))
    children = one_point(first, second, layers, generator())
    cuts, times = np.unique(children, axis=0, return_counts=True)
    assert cuts.tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 1, 1]]
    assert times == pytest.approx([450, 450], abs=60)


def test_one_point_keeps_genes_of_a_layer_together_wherever_they_stand():
    # As in data-flow space: switches of all layers, then their scales.
    layers = np.array([0, 1, 2, 0, 1, 2])
    children = one_point(np.zeros((50, 6)), np.ones((50, 6)), layers, generator())
    assert (children[:, :3] == children[:, 3:]).all()


# eta = 1: beta = sqrt(2 u) = 0.5 for u = 1/8, sqrt(1 / (2 (1 - u))) = 2 for u = 7/8.
@pytest.mark.parametrize(("draw", "beta"), [(1 / 8, 0.5), (0.5, 1.0), (7 / 8, 2.0)])
def test_the_spread_of_sbx(draw, beta):
    assert spread_factor(np.array([draw]), eta=1) == pytest.approx([beta])


# Parents 0.2 and 0.6. Beta 0.5: (1.5 a + 0.5 b) / 2; beta 2: (3 a - b) / 2, for 0.6 first 0.8.
@pytest.mark.parametrize(
    ("draw", "swap", "child"), [(1 / 8, 0.9, 0.3), (1 / 8, 0.1, 0.5), (7 / 8, 0.1, 0.8)]
)
def test_a_child_of_sbx(draw, swap, child):
    found = sbx(np.array([[0.2]]), np.array([[0.6]]), 1, Dice(draw, swap))
    assert found[0] == pytest.approx([child])


@pytest.mark.parametrize("eta", [2, 20])
def test_sbx_keeps_the_mean_and_a_larger_eta_stays_nearer(eta):
    first, second = np.full((20000, 1), 0.45), np.full((20000, 1), 0.55)
    child = sbx(first, second, eta, generator())
    assert child.mean() == pytest.approx(0.5, abs=2e-3)
    # |beta - 1| is about 1 / (eta + 1) x |ln 2u|, whose mean is 1: 0.05 times that.
    nearest = np.minimum(np.abs(child - 0.45), np.abs(child - 0.55))
    assert nearest.mean() == pytest.approx(0.05 / (eta + 1), rel=0.35)


# Parents 0.4 and 0.6 reach from 0.3 to 0.7 at alpha = 1/2; a quarter of that is 0.4.
def test_a_child_of_blx():
    assert blx(np.array([[0.6]]), np.array([[0.4]]), 0.5, Dice(0.25))[0] == pytest.approx([0.4])


def test_blx_is_even_from_alpha_below_to_alpha_above():
    child = blx(np.full((5000, 1), 0.4), np.full((5000, 1), 0.6), 0.5, generator())
    assert child.min() == pytest.approx(0.3, abs=1e-3)
    assert child.max() == pytest.approx(0.7, abs=1e-3)
    assert child.var() == pytest.approx(0.4**2 / 12, rel=0.05)


@pytest.mark.parametrize("name", ["uniform", "one_point", "sbx", "blx"])
def test_children_stay_in_the_cube_and_piles_up_nowhere(mixed, name):
    genes = Genes(mixed(10))
    first, second = (np.round(each) for each in parents(500, 10))
    child = crossed(name, genes, first, second, generator(), eta=1.0, alpha=1.0)
    assert ((child >= 0) & (child <= 1)).all()
    assert np.array_equal(child, genes.settled(child))
    if name in ("sbx", "blx"):
        # Parents on the bounds: children beyond are thrown back inside.
        apart = first[:, 1] != second[:, 1]
        assert not np.isin(child[apart, 1], (0.0, 1.0)).any()


@pytest.mark.parametrize("name", ["sbx", "blx"])
def test_choices_and_binaries_are_exchanged_whole(mixed, name):
    genes = Genes(mixed(5))
    first, second = (genes.settled(each) for each in parents(500, 5))
    child = crossed(name, genes, first, second, generator(), eta=2.0, alpha=0.5)
    whole = (child == first) | (child == second)
    assert whole[:, [0, 3]].all()
    assert not whole[:, [1, 4]].any()
