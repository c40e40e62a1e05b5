import numpy as np
import pytest

from evoforge.optimizer._genes import Genes, reflected
from evoforge.space import Param, Space


def test_discrete_genes_settle_in_the_middle_of_their_share(mixed):
    # A binary, a number, an integer of 5, a choice of 3, a logarithm.
    settled = Genes(mixed(5)).settled(np.array([[0.51, 0.33, 0.39, 0.99, 0.2]]))
    assert settled[0] == pytest.approx([0.75, 0.33, 0.3, 5 / 6, 0.2])


def test_what_settles_stands_for_the_same_values(mixed):
    space = mixed(10)
    # One half and 1 are the borders of shares.
    genomes = np.concatenate([np.random.default_rng(0).random((50, 10)), [[0.5] * 10, [1.0] * 10]])
    for genome, settled in zip(genomes, Genes(space).settled(genomes), strict=True):
        assert space.decode(genome) == space.decode(settled)


def test_genes_are_of_one_layer_if_their_names_agree_up_to_the_first_dot():
    names = ["layer0.ja.weight", "layer0.ja.density", "layer1.ja.weight", "layer0.math.weight"]
    genes = Genes(Space([Param(name, 0, 1, 0.5) for name in names]))
    assert genes.layers.tolist() == [0, 0, 1, 0]


def test_where_there_is_one_layer_every_gene_is_its_own():
    genes = Genes(Space([Param(f"all.{name}.weight", 0, 1, 0.5) for name in "abc"]))
    assert genes.layers.tolist() == [0, 1, 2]


# 0.2 beyond 1 is 0.8, 0.1 below 0 is 0.1; 2.3 goes to and fro: 1 - (1 - 0.3) = 0.3.
@pytest.mark.parametrize(
    ("gene", "found"), [(1.2, 0.8), (-0.1, 0.1), (2.3, 0.3), (0.4, 0.4), (0.0, 0.0), (1.0, 1.0)]
)
def test_what_leaves_the_range_is_thrown_back(gene, found):
    assert reflected(np.array([gene])) == pytest.approx([found])


def test_a_consensus_is_the_mean_of_numbers_and_the_commonest_value(mixed):
    genes = Genes(mixed(4))
    genomes = genes.settled(
        np.array([[0.1, 0.2, 0.1, 0.1], [0.9, 0.3, 0.9, 0.9], [0.9, 0.4, 0.9, 0.1]])
    )
    # Binary 0, 1, 1; numbers; integers 1, 5, 5 of mean 3.7: 4; choices a, c, a.
    assert genes.consensus(genomes)[0] == pytest.approx([0.75, 0.3, 0.7, 1 / 6])
