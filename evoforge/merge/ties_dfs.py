"""PS+DFS with TIES for the weights."""

from evoforge.merge._hybrid import Hybrid


class TiesDfs(Hybrid):
    """Weights by `Ties`, then a path through that merge and further models; see `Hybrid`."""
