"""The doors of this room: what a merge method is written against, and recipes into candidates."""

import re
from collections.abc import Callable
from importlib import import_module

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError
from evoforge.merge._encode import inner as inner
from evoforge.merge._merger import Merger as Merger
from evoforge.merge._merger import Phase as Phase
from evoforge.merge._part import Numbers as Numbers
from evoforge.merge._part import Part as Part
from evoforge.merge._part import Whole as Whole
from evoforge.merge._path import PathCandidate
from evoforge.merge._tensors import Merged as Merged
from evoforge.merge._tensors import TensorMerger as TensorMerger
from evoforge.models.pool import Pool
from evoforge.recipe import Recipe, digest


class Mergers:
    """Builds candidates from recipes alone, of whatever method they are.

    Args:
        pool: the sources that recipes name.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._known: dict[str, Merger] = {}

    def build(self, recipe: Recipe) -> Candidate:
        """Return the candidate of a recipe; nothing is computed yet.

        Raises:
            ConfigError: there is no such method, or the sources are not those of the recipe.
        """
        if "path" in recipe.content:
            return PathCandidate(recipe, self.pool, self.build)
        method, options = recipe.content["method"], recipe.content["options"]
        key = digest([method, options])
        if key not in self._known:
            self._known[key] = merger_class(method)(self.pool, **options)
        return self._known[key].build(recipe)


def merger_class(method: str) -> Callable[..., Merger]:
    """Return the class of a method: `dare_ties` is DareTies in evoforge.merge.dare_ties.

    Raises:
        ConfigError: there is no such method.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", method):
        raise ConfigError(f"{method!r} is not the name of a merge method")
    try:
        module = import_module(f"evoforge.merge.{method}")
    except ModuleNotFoundError:
        raise ConfigError(f"this evoforge has no merge method {method}") from None
    found: Callable[..., Merger] = getattr(module, method.title().replace("_", ""))
    return found
