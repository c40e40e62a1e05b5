"""PS+DFS: a merge of weights, and a path that leads through it and through its sources' layers.

Composed of a merger of each kind; what they search and how they build is theirs.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError
from evoforge.merge._encode import inner
from evoforge.merge._options import options_of
from evoforge.merge.base import Merger, Mergers, Phase
from evoforge.merge.dfs import Dfs
from evoforge.models.pool import Pool
from evoforge.recipe import Recipe
from evoforge.space import Genome, Space

Schedule = Literal["sequential", "joint"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)


class Hybrid(Merger):
    """Weights first, then layers; or both at once.

    `sequential` runs two searches: `ps` finds a merge, `dfs` a path whose first model is that
    merge. `joint` runs one search over the parameters of both: every candidate is a merge of its
    own with a path of its own.

    Args:
        pool: the sources.
        ps: makes the merger of weights from the pool.
        dfs: makes the merger of paths from the pool; its `sources` are the models beside the merge.
        schedule: `sequential` or `joint`.
        share: of the budget, for the first of the two searches, in (0, 1).

    Raises:
        ConfigError: an option makes no sense.

    Reference:
        Akiba 2025, Evolutionary Optimization of Model Merging Recipes (arXiv 2403.13187), section
        3.3.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        ps: Callable[..., Merger],
        dfs: Callable[..., Dfs],
        schedule: Schedule = "sequential",
        share: float = 0.5,
    ) -> None:
        if schedule not in SCHEDULES:
            raise ConfigError(
                f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule}; "
                "set merge.schedule"
            )
        if not 0 < share < 1:
            raise ConfigError(f"share must be in (0, 1), got {share}; set merge.share")
        super().__init__(pool)
        with options_of("ps"):
            self.ps = ps(pool)
            _ = self.ps.space  # refuses here if there is nothing to search
        with options_of("dfs"):
            self.dfs = dfs(pool, merged=True)
        self.schedule = schedule
        self.share = share

    @cached_property
    def space(self) -> Space:
        """The parameters of both, the weights' in front."""
        return Space.join(self.ps.space, self.dfs.space)

    def recipe(self, genome: Genome) -> Recipe:
        """Return the recipe of a joint genome: (dim,) float64 in [0, 1]."""
        weights = self.ps.space.dim
        return self.dfs.over(self.ps.recipe(genome[:weights])).recipe(genome[weights:])

    def reads(self, recipe: Recipe) -> bool:
        """Whether a recipe is a merge, or a path through one."""
        return "path" not in recipe.content or inner(recipe) is not None

    def encode(self, recipe: Recipe) -> Genome:
        """Return the joint genome: of a merge and its path, or of a merge as it is."""
        merge = inner(recipe)
        if "path" not in recipe.content:
            return np.concatenate([self.ps.encode(recipe), self.dfs.space.init])
        if merge is None:
            raise ConfigError("its path leads through no merge, and here paths do")
        return np.concatenate([self.ps.encode(merge), self.dfs.encode(recipe)])

    def build(self, recipe: Recipe) -> Candidate:
        """Return the candidate of a recipe; nothing is computed yet."""
        return Mergers(self.pool).build(recipe)

    @property
    def phases(self) -> Sequence[Phase]:
        """One search, or two of which the second goes on from the first one's winner."""
        if self.schedule == "joint":
            return super().phases
        first = Phase("ps", self.ps, self.share)
        return (first, Phase("dfs", self.dfs, 1 - self.share, done=self.share))

    def baselines(self) -> dict[str, Recipe]:
        """Return where the search starts."""
        return super().baselines() if self.schedule == "joint" else self.ps.baselines()

    @property
    def num_models(self) -> int:
        """The merge, and the models beside it."""
        return self.dfs.num_models

    @property
    def num_layers(self) -> int:
        """The hops of the longest path."""
        return self.dfs.num_layers

    @property
    def merges(self) -> Merger | None:
        """The merger of weights."""
        return self.ps.merges

    @property
    def facts(self) -> dict[str, Any]:
        """The number of layers of each model."""
        return self.dfs.facts
