"""Toy spaces of any size, and what runs an optimizer on a function."""

import numpy as np
import pytest

from evoforge.space import Param, Space


@pytest.fixture
def cube():
    """Return a maker of spaces of n parameters in [0, 1]."""
    return lambda n, init=0.5: Space([Param(f"x{i}", 0.0, 1.0, init) for i in range(n)])


@pytest.fixture
def evolve():
    """Return what runs generations and gives all that was asked and its fitness."""

    def run(optimizer, fitness, generations):
        asked, told = [], []
        for _ in range(generations):
            genomes = optimizer.ask()
            found = np.array([fitness(genome) for genome in genomes])
            optimizer.tell(genomes, found)
            asked.append(genomes)
            told.append(found)
        return np.concatenate(asked), np.concatenate(told)

    return run
