"""What all mergers are: a space, recipes out of genomes, candidates out of recipes.

A merger owns its search space. It knows weights or layers; it does not know what a model is judged
on, nor how the space is searched.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evoforge.candidate import Candidate
from evoforge.models.pool import Pool
from evoforge.recipe import Recipe
from evoforge.space import Genome, Space


class Merger(ABC):
    """Turns genomes into recipes, and recipes into candidates.

    Args:
        pool: the sources, led by the one whose settings and tokenizer candidates have.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @property
    def method(self) -> str:
        """The name of the method: its module's, and its option's in conf/merge."""
        return type(self).__module__.rpartition(".")[2]

    @property
    @abstractmethod
    def space(self) -> Space:
        """What is searched."""

    @abstractmethod
    def recipe(self, genome: Genome) -> Recipe:
        """Return the recipe of a genome: (dim,) float64 in [0, 1]."""

    @abstractmethod
    def encode(self, recipe: Recipe) -> Genome:
        """Return a genome of a recipe: the inverse of `recipe`, as far as there is one.

        Also of recipes of other methods whose numbers mean the same. What does not fit into the
        space is moved into it, with one warning.

        Args:
            recipe: of a kind that this merger `reads`.

        Raises:
            ConfigError: it says nothing to this merger, or a source of it is not in the pool.
        """

    def reads(self, recipe: Recipe) -> bool:
        """Whether a recipe is of the kind that `encode` takes: here one without a path."""
        return "path" not in recipe.content

    @abstractmethod
    def build(self, recipe: Recipe) -> Candidate:
        """Return the candidate of a recipe; nothing is computed yet."""

    @property
    def phases(self) -> Sequence["Phase"]:
        """The searches that make up a run, in order: one, unless one goes on from another."""
        return (Phase("search", self),)

    def over(self, recipe: Recipe) -> "Merger":
        """Return the merger of a phase that goes on from the winner of the phase before it."""
        del recipe
        return self

    def baselines(self) -> dict[str, Recipe]:
        """Return the recipes that a search with this merger should be compared with, by name."""
        return {"start_point": self.recipe(self.space.init)}

    @property
    def num_models(self) -> int:
        """How many models are kept in memory to evaluate candidates."""
        return 1

    @property
    def num_layers(self) -> int:
        """The most transformer blocks that a candidate has."""
        return self.pool.reference.num_layers

    @property
    def merges(self) -> "Merger | None":
        """The merger of weights in it: itself, unless candidates are paths; None without one."""
        return self

    @property
    def facts(self) -> dict[str, Any]:
        """What reports should know of the space beside its parameters, as JSON values."""
        return {}


@dataclass(frozen=True)
class Phase:
    """One search of a run.

    Args:
        name: unique in the run.
        merger: what is searched.
        share: of the run's budget, in (0, 1].
        done: the share of the searches before it.
    """

    name: str
    merger: Merger
    share: float = 1.0
    done: float = 0.0
