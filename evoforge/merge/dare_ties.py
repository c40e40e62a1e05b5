"""DARE-TIES: task vectors thinned out at random, then added where their signs agree."""

from evoforge.merge.dare_linear import DareLinear


class DareTies(DareLinear):
    """DARE's task vectors with TIES' election of signs, the method of the paper.

    As `DareLinear`, but the sign of each element is that of the weighted sum, and only elements
    of that sign are added.

    Reference:
        Akiba 2025, Evolutionary Optimization of Model Merging Recipes (arXiv 2403.13187).
    """

    elect = True
