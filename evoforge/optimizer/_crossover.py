"""Crossover: one child of two parents, for whole generations at once.

Every function takes and returns (n, dim) genomes; none knows what a gene stands for.
"""

import numpy as np

from evoforge.optimizer._genes import Genes, Mask, Numbers, reflected
from evoforge.optimizer.base import Genomes

CROSSOVERS = ("uniform", "one_point", "sbx", "blx", "none")

# Closer parents than this make one and the same child, up to rounding.
CLOSE = 1e-12


def uniform(first: Genomes, second: Genomes, generator: np.random.Generator) -> Genomes:
    """Return children that take each gene from either parent, at even chances."""
    return np.where(generator.random(first.shape) < 0.5, first, second)


def one_point(
    first: Genomes, second: Genomes, layers: Numbers, generator: np.random.Generator
) -> Genomes:
    """Return children with the first parent's layers up to a border, the second's from there.

    Args:
        first: (n, dim) parents.
        second: (n, dim) parents.
        layers: (dim,) the layer of each gene, from 0: genes of a layer stay together, wherever
            they stand in the genome.
        generator: of random numbers.
    """
    if layers.max() == 0:
        return uniform(first, second, generator)
    cuts = generator.integers(1, layers.max() + 1, len(first))
    return np.where(layers < cuts[:, None], first, second)


def sbx(first: Genomes, second: Genomes, eta: float, generator: np.random.Generator) -> Genomes:
    """Return children by simulated binary crossover: as near to a parent as two bits' swaps are.

        child = ((1 + beta) a + (1 - beta) b) / 2,   a, b: the parents, in either order
        beta = (2 u)^(1 / (eta + 1))             for u <= 1/2
        beta = (2 (1 - u))^(-1 / (eta + 1))      else,   u uniform in [0, 1)

    Args:
        first: (n, dim) parents.
        second: (n, dim) parents.
        eta: the larger, the nearer to a parent; 2 wide, 20 narrow.
        generator: of random numbers.

    Reference:
        Deb 1995, Simulated Binary Crossover for Continuous Search Space (Complex Systems 9).
    """
    beta = spread_factor(generator.random(first.shape), eta)
    swapped = generator.random(first.shape) < 0.5
    a, b = np.where(swapped, second, first), np.where(swapped, first, second)
    return reflected(((1 + beta) * a + (1 - beta) * b) / 2)


def spread_factor(draws: Genomes, eta: float) -> Genomes:
    """Return beta of SBX: how far apart children are, in distances of their parents."""
    # 2 (1 - u) is 0 nowhere: draws are below 1.
    base = np.where(draws <= 0.5, 2 * draws, 0.5 / (1 - draws))
    return np.asarray(base ** (1 / (eta + 1)))


def blx(first: Genomes, second: Genomes, alpha: float, generator: np.random.Generator) -> Genomes:
    """Return children from between the parents, and `alpha` of their distance beyond each.

    Reference:
        Eshelman 1993, Real-Coded Genetic Algorithms and Interval-Schemata (FOGA 2).
    """
    low, high = np.minimum(first, second), np.maximum(first, second)
    reach = alpha * (high - low)
    return reflected(low - reach + generator.random(first.shape) * (high - low + 2 * reach))


def crossed(
    name: str,
    genes: Genes,
    first: Genomes,
    second: Genomes,
    generator: np.random.Generator,
    *,
    eta: float,
    alpha: float,
) -> Genomes:
    """Return children by the crossover of a name: (n, dim), discrete genes settled.

    Choices and binaries, whose values have nothing between them, are exchanged at even chances
    where the crossover is one of numbers.
    """
    if name == "one_point":
        return genes.settled(one_point(first, second, genes.layers, generator))
    exchanged = uniform(first, second, generator)
    if name == "uniform":
        return genes.settled(exchanged)
    mixed = (
        sbx(first, second, eta, generator)
        if name == "sbx"
        else blx(first, second, alpha, generator)
    )
    return genes.settled(np.where(genes.numeric, mixed, exchanged))


def apart(first: Genomes, second: Genomes) -> Mask:
    """Return which pairs of parents can make a child that is neither: (n,)."""
    return np.asarray(np.abs(first - second).max(axis=-1) > CLOSE)
