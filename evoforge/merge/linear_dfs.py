"""PS+DFS with a weighted mean for the weights."""

from evoforge.merge._hybrid import Hybrid


class LinearDfs(Hybrid):
    """Weights by `Linear`, then a path through that merge and further models; see `Hybrid`."""
