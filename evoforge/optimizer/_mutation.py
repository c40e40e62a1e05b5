"""Mutation: a few genes of every child changed by chance, for whole generations at once."""

import numpy as np

from evoforge.optimizer._genes import Genes, Mask, reflected
from evoforge.optimizer.base import Genomes

MUTATIONS = ("gaussian", "polynomial", "reset", "flip", "none")


def gaussian(genomes: Genomes, sigma: float, generator: np.random.Generator) -> Genomes:
    """Return numbers with normal noise of standard deviation `sigma`, reflected at the bounds."""
    return reflected(genomes + sigma * generator.standard_normal(genomes.shape))


def polynomial(genomes: Genomes, eta: float, generator: np.random.Generator) -> Genomes:
    """Return numbers moved by polynomial mutation, which never leaves [0, 1].

        x + (2 u + (1 - 2 u) (1 - x)^(eta + 1))^(1 / (eta + 1)) - 1           for u < 1/2
        x + 1 - (2 (1 - u) + (2 u - 1) x^(eta + 1))^(1 / (eta + 1))           else

    Args:
        genomes: (n, dim) in [0, 1].
        eta: the larger, the smaller the steps: about 1 / (eta + 2) on average.
        generator: of random numbers.

    Reference:
        Deb 2014, Analysing Mutation Schemes for Real-Parameter Genetic Algorithms (IJAISC 4).
    """
    return moved(genomes, generator.random(genomes.shape), eta)


def moved(genomes: Genomes, draws: Genomes, eta: float) -> Genomes:
    """Return where polynomial mutation takes numbers with draws u from [0, 1)."""
    power = eta + 1
    down = (2 * draws + (1 - 2 * draws) * (1 - genomes) ** power) ** (1 / power) - 1
    up = 1 - (2 * (1 - draws) + (2 * draws - 1) * genomes**power) ** (1 / power)
    # Rounding may leave the range by the last digit.
    return np.clip(genomes + np.where(draws < 0.5, down, up), 0.0, 1.0)


def mutated(
    name: str,
    genes: Genes,
    genomes: Genomes,
    rate: float,
    forced: Mask,
    generator: np.random.Generator,
    *,
    sigma: float,
    eta: float,
) -> tuple[Genomes, Mask]:
    """Return children after the mutation of a name, and which of their genes it changed.

    Gaussian and polynomial move numbers; an integer that is moved changes by one at least. A
    choice or binary that mutates takes another of its values. `reset` draws numbers anew from
    their whole range, and `flip` leaves them alone.

    Args:
        name: of the mutation.
        genes: what can mutate.
        genomes: (n, dim) children, discrete genes settled.
        rate: the chance of each gene.
        forced: (n,) children that change in one gene at least.
        generator: of random numbers.
        sigma: standard deviation of Gaussian steps, as a share of the range.
        eta: of polynomial steps.
    """
    able = ~genes.numeric if name == "flip" else np.ones(len(genes.numeric), dtype=bool)
    chosen = (generator.random(genomes.shape) < rate) & able
    one = np.flatnonzero(able)[generator.integers(able.sum(), size=len(genomes))]
    idle = forced & ~chosen.any(axis=1)
    chosen[idle, one[idle]] = True
    changed = _others(genes, genomes, generator)
    if name in ("gaussian", "polynomial"):
        steps = (
            gaussian(genomes, sigma, generator)
            if name == "gaussian"
            else polynomial(genomes, eta, generator)
        )
        changed = np.where(genes.numeric, _stepped(genes, genomes, steps), changed)
    return np.where(chosen, changed, genomes), chosen


def _others(genes: Genes, genomes: Genomes, generator: np.random.Generator) -> Genomes:
    """Return numbers drawn anew, and another value of every discrete gene."""
    draws = generator.random(genomes.shape)
    # From 1 to one less than there are: every value but the present one, evenly.
    shift = 1 + np.floor(draws * (genes.counts - 1))
    values = np.mod(genes.values(genomes) + shift, genes.counts)
    return np.where(genes.discrete, (values + 0.5) / genes.counts, draws)


def _stepped(genes: Genes, genomes: Genomes, steps: Genomes) -> Genomes:
    """Return numbers after their steps; an integer moves to a neighbour at least."""
    before, after = genes.values(genomes), genes.values(steps)
    neighbour = before + np.where(steps < genomes, -1, 1)
    neighbour = np.where(
        (neighbour < 0) | (neighbour >= genes.counts), 2 * before - neighbour, neighbour
    )
    values = np.where(after == before, neighbour, after)
    return np.where(genes.discrete, (values + 0.5) / genes.counts, steps)
