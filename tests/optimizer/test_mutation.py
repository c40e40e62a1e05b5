import numpy as np
import pytest

from evoforge.optimizer._genes import Genes
from evoforge.optimizer._mutation import gaussian, moved, mutated, polynomial


def generator(seed=0):
    return np.random.default_rng(seed)


def change(name, genes, genomes, rate=1.0, forced=False, sigma=0.1, eta=20.0, seed=0):
    wanted = np.full(len(genomes), forced)
    return mutated(name, genes, genomes, rate, wanted, generator(seed), sigma=sigma, eta=eta)


def test_gaussian_steps_have_sigma():
    steps = gaussian(np.full((5000, 1), 0.5), 0.1, generator()) - 0.5
    assert steps.mean() == pytest.approx(0, abs=0.005)
    assert steps.std() == pytest.approx(0.1, rel=0.05)


def test_gaussian_steps_do_not_pile_up_on_a_bound():
    found = gaussian(np.zeros((5000, 1)), 0.1, generator())
    assert (found > 0).all()
    # Half a normal distribution has the mean sigma sqrt(2 / pi).
    assert found.mean() == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.05)


# eta = 1, x = 1/2. u = 1/4: sqrt(1/2 + 1/2 x 1/4) - 1 = -0.2094. u = 0 and 1: the bounds.
@pytest.mark.parametrize(
    ("draw", "found"), [(0.25, 0.5 - 0.2094), (0.75, 0.5 + 0.2094), (0.0, 0.0), (1.0, 1.0)]
)
def test_a_step_of_polynomial_mutation(draw, found):
    assert moved(np.array([0.5]), np.array([draw]), 1) == pytest.approx([found], abs=1e-4)


@pytest.mark.parametrize("eta", [10, 20])
def test_polynomial_steps_are_one_in_eta_plus_two(eta):
    steps = polynomial(np.full((20000, 1), 0.5), eta, generator()) - 0.5
    assert np.abs(steps).mean() == pytest.approx(1 / (eta + 2), rel=0.05)
    assert steps.mean() == pytest.approx(0, abs=0.003)


def test_polynomial_steps_leave_a_bound_inwards():
    found = polynomial(np.array([[0.0], [1.0]] * 500), 20, generator())
    assert ((found >= 0) & (found <= 1)).all()
    assert found[::2].mean() == pytest.approx(1 - found[1::2].mean(), rel=0.2)
    assert found[::2].mean() > 0.01


def test_each_gene_changes_at_the_rate(cube):
    genomes = np.full((5000, 4), 0.5)
    found, chosen = change("gaussian", Genes(cube(4)), genomes, rate=0.25)
    assert np.array_equal(found != genomes, chosen)
    assert chosen.mean(0) == pytest.approx([0.25] * 4, abs=0.02)


def test_who_must_change_does_so_in_one_gene(cube):
    genomes = np.full((300, 4), 0.5)
    found, _ = change("gaussian", Genes(cube(4)), genomes, rate=0.0, forced=True)
    assert ((found != genomes).sum(1) == 1).all()
    assert (found != genomes).any(0).all()


@pytest.mark.parametrize("name", ["gaussian", "polynomial", "reset", "flip"])
def test_binaries_and_choices_take_another_value_evenly(mixed, name):
    genes = Genes(mixed(5))
    genomes = genes.settled(np.full((3000, 5), 0.4))
    values = genes.values(change(name, genes, genomes)[0])
    assert (values[:, 0] == 1).all()
    # The choice was b: a and c are left.
    assert (values[:, 3] == 0).mean() == pytest.approx(0.5, abs=0.03)
    assert (values[:, 3] != 1).all()


def test_a_flip_leaves_numbers_alone(mixed):
    genes = Genes(mixed(5))
    genomes = genes.settled(np.full((20, 5), 0.4))
    found, _ = change("flip", genes, genomes, forced=True)
    assert np.array_equal(found[:, [1, 2, 4]], genomes[:, [1, 2, 4]])


def test_a_reset_draws_numbers_from_everywhere(mixed):
    found, _ = change("reset", Genes(mixed(5)), np.full((3000, 5), 0.1))
    assert found[:, 1].mean() == pytest.approx(0.5, abs=0.02)
    assert found[:, 1].var() == pytest.approx(1 / 12, rel=0.05)


# Steps of a tenth of a share of 1/5: an integer still moves, at the ends inwards.
@pytest.mark.parametrize(("value", "near"), [(0, {1}), (2, {1, 3}), (4, {3})])
def test_an_integer_moves_by_one_at_least(mixed, value, near):
    genes = Genes(mixed(3))
    genomes = genes.settled(np.full((200, 3), (value + 0.5) / 5))
    found, _ = change("gaussian", genes, genomes, sigma=0.02)
    assert set(genes.values(found)[:, 2]) == near


@pytest.mark.parametrize("name", ["gaussian", "polynomial", "reset", "flip"])
def test_mutants_stay_in_the_cube_and_settled(mixed, name):
    genes = Genes(mixed(10))
    genomes = genes.settled(np.round(generator(1).random((500, 10))))
    found, _ = change(name, genes, genomes, sigma=1.0, eta=0.0)
    assert ((found >= 0) & (found <= 1)).all()
    assert np.allclose(found, genes.settled(found))
