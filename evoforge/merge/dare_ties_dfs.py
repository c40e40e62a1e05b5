"""PS+DFS with DARE-TIES for the weights."""

from evoforge.merge._hybrid import Hybrid


class DareTiesDfs(Hybrid):
    """Weights by `DareTies`, then a path through that merge and further models; see `Hybrid`."""
