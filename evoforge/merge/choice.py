"""The method as a gene: each candidate is a merge by one of a few methods."""

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError
from evoforge.merge._options import options_of
from evoforge.merge.base import Merger, Mergers, TensorMerger
from evoforge.models.pool import Pool
from evoforge.recipe import Recipe
from evoforge.space import Genome, Param, Space


class Choice(Merger):
    """One of several methods, which is searched together with the methods' parameters.

    Parameters of one name are one gene for all methods that have them, such as the weight of a
    source; so the methods must search them between the same bounds. A recipe is one of the chosen
    method's own, and knows nothing of the choice.

    Args:
        pool: the sources.
        methods: by name, what makes each merger from the pool. The search starts with the first.

    Raises:
        ConfigError: fewer than two methods, or two methods search one parameter differently.
    """

    def __init__(self, pool: Pool, *, methods: Mapping[str, Callable[..., Merger]]) -> None:
        if len(methods) < 2:
            raise ConfigError(
                f"there must be two methods to choose from, got {', '.join(methods) or 'none'}; "
                "set merge.methods, for example +merge@merge.methods.della=della"
            )
        super().__init__(pool)
        self.methods: dict[str, TensorMerger] = {}
        for name, make in methods.items():
            with options_of(f"methods.{name}"):
                merger = make(pool)
                if not isinstance(merger, TensorMerger):
                    raise ConfigError(
                        f"methods must merge weights tensor by tensor, got {name}; "
                        f"set merge.methods, or search {name} in a run of its own"
                    )
                self.methods[name] = merger
                _ = merger.space  # refuses here if there is nothing to search
        self._params = self._joined()

    @cached_property
    def space(self) -> Space:
        """Which method, then the parameters of all."""
        names = tuple(self.methods)
        which = Param("method", 0, len(names) - 1, 0, "choice", names)
        return Space([which, *self._params.values()])

    def _joined(self) -> dict[str, Param]:
        found: dict[str, Param] = {}
        for name, merger in self.methods.items():
            for param in merger.space.params:
                if found.setdefault(param.name, param) != param:
                    raise ConfigError(
                        f"methods must search {param.name} between the same bounds, got "
                        f"{_shown(found[param.name])} and, for {name}, {_shown(param)}; "
                        f"set merge.methods.{name}"
                    )
        return found

    def recipe(self, genome: Genome) -> Recipe:
        """Return the recipe of a genome by the method it chooses: (dim,) float64 in [0, 1]."""
        chosen = self.methods[str(self.space.params[0].decode(float(genome[0])))]
        places = {param: place for place, param in enumerate(self.space.names)}
        mine = [genome[places[name]] for name in chosen.space.names]
        return chosen.recipe(np.array(mine, dtype=np.float64))

    def encode(self, recipe: Recipe) -> Genome:
        """Return the genome of a recipe by its own method, else by the first that it fits."""
        own = recipe.content["method"]
        names = [own] if own in self.methods else [*self.methods]
        for name in names:
            try:
                genes = self.methods[name].encode(recipe)
            except ConfigError:
                if name == names[-1]:
                    raise
                continue
            break
        merger = self.methods[name]
        found = dict(zip(merger.space.names, genes, strict=True))
        which = self.space.params[0].encode(name)
        return np.array([which, *(found.get(p.name, p.start) for p in self.space.params[1:])])

    def build(self, recipe: Recipe) -> Candidate:
        """Return the candidate of a recipe; nothing is computed yet."""
        return self._mergers.build(recipe)

    @cached_property
    def _mergers(self) -> Mergers:
        return Mergers(self.pool)

    def baselines(self) -> dict[str, Recipe]:
        """Return where the search starts, by each method."""
        return {
            f"start_point_{name}": merger.recipe(merger.space.init)
            for name, merger in self.methods.items()
        }


def _shown(param: Param) -> str:
    return f"[{param.low:g}, {param.high:g}] from {param.init:g} ({param.kind})"
