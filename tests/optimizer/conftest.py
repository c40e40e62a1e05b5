"""Toy spaces of any size, and what runs an optimizer on a function."""

import numpy as np
import pytest

from evoforge.optimizer.base import Details
from evoforge.space import Param, Space

# What made-up evaluations say beside fitness.
TASKS = ("sums", "words")


def seen(genomes, fitness):
    """Return details of made-up evaluations: two tasks that pull apart, and ten items."""
    failed = ~np.isfinite(fitness)
    first = genomes[:, 0]
    items = (first[:, None] > np.linspace(0.05, 0.95, 10)).astype(float)
    values = {
        "fitness": fitness,
        "tokens": 20 + 10 * first,
        "hops": np.zeros(len(genomes)),
        "sums": first,
        "words": 1 - first**2,
        "acc": np.abs(first - 0.5),
    }
    values = {name: np.where(failed, np.nan, found) for name, found in values.items()}
    items[failed] = np.nan
    return Details(values, TASKS, items, tuple(f"item{i}" for i in range(10)))


@pytest.fixture
def cube():
    """Return a maker of spaces of n parameters in [0, 1]."""
    return lambda n, init=0.5: Space([Param(f"x{i}", 0.0, 1.0, init) for i in range(n)])


@pytest.fixture
def mixed():
    """Return a maker of spaces of n parameters of all kinds in turn, started at a gene."""

    def make(n, init=0.5):
        kinds = [
            lambda name: Param(name, 0, 1, init, "binary"),
            lambda name: Param(name, 0.0, 2.0, 2.0 * init),
            lambda name: Param(name, 1, 5, 1 + round(4 * init), "integer"),
            lambda name: Param(name, 0, 2, round(2 * init), "choice", ("a", "b", "c")),
            lambda name: Param(name, 0.1, 10.0, 0.1 * 100**init, "log"),
        ]
        return Space([kinds[i % len(kinds)](f"x{i}") for i in range(n)])

    return make


@pytest.fixture
def bits():
    """Return a maker of spaces of binary parameters before numbers: `bits(8, 8)`."""

    def make(num_bits, num_floats, init=0.5):
        binary = [Param(f"bit{i}", 0, 1, init, "binary") for i in range(num_bits)]
        return Space(binary + [Param(f"x{i}", 0.0, 1.0, 0.5) for i in range(num_floats)])

    return make


@pytest.fixture
def onemax():
    """Return a maker of a goal: all bits 1, and the numbers behind them 0.3."""

    def make(num_bits):
        def fitness(genome):
            bits, floats = genome[:num_bits], genome[num_bits:]
            return float((bits > 0.5).sum() - num_bits - ((floats - 0.3) ** 2).sum())

        return fitness

    return make


@pytest.fixture
def evolve():
    """Return what runs generations and gives all that was asked and its fitness."""

    def run(optimizer, fitness, generations):
        asked, told = [], []
        for _ in range(generations):
            genomes = optimizer.ask()
            found = np.array([fitness(genome) for genome in genomes])
            optimizer.tell(genomes, found, seen(genomes, found))
            asked.append(genomes)
            told.append(found)
        return np.concatenate(asked), np.concatenate(told)

    return run
