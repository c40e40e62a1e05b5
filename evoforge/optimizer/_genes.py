"""What kinds of genes a space has, and which of them belong to one layer.

Knows the names and kinds of parameters; does not know what they are used for.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evoforge.optimizer.base import Genomes, counts
from evoforge.space import Space

Mask = NDArray[np.bool_]
Numbers = NDArray[np.intp]


class Genes:
    """The genes of a space, as operators see them.

    Args:
        space: what is searched.

    Attributes:
        counts: (dim,) how many values a gene stands for, 1 for a whole range.
        binary: (dim,) whether a gene is a switch.
        numeric: (dim,) whether values have an order and a distance: linear, log and integer.
        layers: (dim,) the layer of a gene, numbered in the order of the space. Genes are of one
            layer if their names agree up to the first dot; where all do, each is its own.
    """

    def __init__(self, space: Space) -> None:
        self.counts = counts(space)
        kinds = [param.kind for param in space.params]
        self.binary: Mask = np.array([kind == "binary" for kind in kinds])
        self.numeric: Mask = np.array([kind not in ("choice", "binary") for kind in kinds])
        places: dict[str, int] = {}
        heads = [name.partition(".")[0] for name in space.names]
        found = [places.setdefault(head, len(places)) for head in heads]
        self.layers: Numbers = np.array(found if len(places) > 1 else range(space.dim))

    @cached_property
    def discrete(self) -> Mask:
        """Whether a gene stands for a few values only: (dim,)."""
        return np.asarray(self.counts > 1)

    def settled(self, genomes: Genomes) -> Genomes:
        """Return genomes whose discrete genes lie in the middle of their value's share of [0, 1].

        So equal values are equal genes, and no gene drifts unseen towards another value.
        """
        middle = (self.values(genomes) + 0.5) / self.counts
        return np.where(self.discrete, middle, genomes)

    def values(self, genomes: Genomes) -> Genomes:
        """Return which of its values a discrete gene stands for, from 0; 0 for other genes."""
        last = self.counts - 1
        found = np.minimum(np.floor(genomes * self.counts), last)
        # A binary is 1 above one half, not from there on.
        return np.where(self.binary, genomes > 0.5, found) * self.discrete

    def consensus(self, genomes: Genomes) -> Genomes:
        """Return what genomes agree on: (1, dim), the mean of numbers, the commonest value else.

        Of several it is better than its parts where each is wrong by chance in another gene.
        """
        values = self.values(genomes).astype(int)
        most = [np.bincount(column).argmax() for column in values.T]
        settled = (np.array(most) + 0.5) / self.counts
        mean = self.settled(genomes.mean(axis=0, keepdims=True))
        return np.where(self.numeric, mean, settled)


def reflected(genomes: Genomes) -> Genomes:
    """Return genomes with what leaves [0, 1] thrown back from the bound that it passed.

    Clipped numbers would pile up on the bounds, where many genomes are one and the same.
    """
    beyond = np.abs(np.mod(genomes + 1, 2) - 1)
    return np.where((genomes < 0) | (genomes > 1), beyond, genomes)
