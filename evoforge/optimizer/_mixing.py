"""Crossovers that mix numbers by weights: of CycleQD and of M2N2, for whole generations at once.

Choices and binaries, which have nothing between them, come from either parent with the chance that
its weight says.
"""

import numpy as np

from evoforge.optimizer._genes import Genes
from evoforge.optimizer.base import Genomes


def mix(
    genes: Genes,
    first: Genomes,
    second: Genomes,
    generator: np.random.Generator,
    *,
    deviation: float,
) -> Genomes:
    """Return weighted means of the parents, weights 1 give or take; none is negative.

        child = (v a + w b) / (v + w),   v, w ~ max(0, N(1, deviation^2))

    Args:
        genes: of the space.
        first: (n, dim) parents a.
        second: (n, dim) parents b.
        generator: of random numbers.
        deviation: of the weights; 0 for the mean.

    Reference:
        Kuroki 2024, Agent Skill Acquisition for Large Language Models via CycleQD
        (arXiv 2410.14735), equation 4.
    """
    weights = np.maximum(0.0, 1 + deviation * generator.standard_normal((len(first), 2)))
    total = weights.sum(axis=1)
    shares = np.where(total > 0, weights[:, 0] / np.where(total > 0, total, 1.0), 0.5)
    return mixed(genes, first, second, np.broadcast_to(shares[:, None], first.shape), generator)


def split(genes: Genes, first: Genomes, second: Genomes, generator: np.random.Generator) -> Genomes:
    """Return means of the parents that turn round at a border between layers.

        child = w a + (1 - w) b before the border, (1 - w) a + w b from there,   w ~ U(0, 1)

    Args:
        genes: of the space.
        first: (n, dim) parents a.
        second: (n, dim) parents b.
        generator: of random numbers.

    Reference:
        Abrantes 2025, Competition and Attraction Improve Model Fusion (arXiv 2508.16204). There the
        weights of models are mixed, on a sphere; genes are coordinates, and what lies between two
        of them is their mean.
    """
    weight = generator.random((len(first), 1))
    # A border before the first layer leaves the genome whole.
    border = generator.integers(0, genes.layers.max() + 1, size=(len(first), 1))
    shares = np.where(genes.layers < border, weight, 1 - weight)
    return mixed(genes, first, second, shares, generator)


def mixed(
    genes: Genes,
    first: Genomes,
    second: Genomes,
    shares: Genomes,
    generator: np.random.Generator,
) -> Genomes:
    """Return children that hold so much of the first parent: (n, dim), as `shares` in [0, 1]."""
    exchanged = np.where(generator.random(first.shape) < shares, first, second)
    return np.where(genes.numeric, shares * first + (1 - shares) * second, exchanged)
