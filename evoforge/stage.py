"""A stage: one search, made of what is searched, how, on what, and for how long.

Knows the parts by their interfaces; does not run anything.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evoforge.errors import ConfigError
from evoforge.fitness.base import Fitness
from evoforge.merge.base import Merger
from evoforge.optimizer.base import Optimizer


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When a search ends.

    Args:
        evaluations: candidates at most; whole generations only, unless in steady state.
        minutes: of the whole run up to the search's end, sessions added up; None for no limit.

    Raises:
        ConfigError: no limit at all, or one that makes no sense.
    """

    evaluations: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if self.evaluations is None and self.minutes is None:
            raise ConfigError("a search needs an end; set budget.evaluations or budget.minutes")
        if self.evaluations is not None and self.evaluations < 1:
            raise ConfigError(
                f"evaluations must be at least 1, got {self.evaluations}; set budget.evaluations"
            )
        if self.minutes is not None and not self.minutes > 0:
            raise ConfigError(f"minutes must be above 0, got {self.minutes}; set budget.minutes")

    def part(self, before: float, share: float) -> "Budget":
        """Return the budget of a search that is one of several.

        Args:
            before: the share of the searches before it, in [0, 1).
            share: its own, in (0, 1].
        """
        # Minutes are counted from the beginning of the run, evaluations from that of the search.
        ends = [math.floor((self.evaluations or 0) * s + 1e-9) for s in (before, before + share)]
        return Budget(
            evaluations=None if self.evaluations is None else max(1, ends[1] - ends[0]),
            minutes=None if self.minutes is None else (before + share) * self.minutes,
        )


@dataclass(frozen=True)
class Stage:
    """One search.

    Args:
        name: unique in the run.
        merger: what is searched, and how candidates are made.
        optimizer: how it is searched.
        fitness: what judges a generation.
        budget: when it ends.
        facts: what else trackers and reports should know.
        steady: whether candidates are told in the order in which they finish, and not a generation
            after the other.

    Raises:
        ConfigError: the budget is not enough for one generation, or a generation is too small for
            what is asked first, or a part is not fit for steady state.
    """

    name: str
    merger: Merger
    optimizer: Optimizer
    fitness: Fitness
    budget: Budget
    facts: Mapping[str, Any]
    steady: bool = False

    def __post_init__(self) -> None:
        if self.steady:
            _check_steady(self)
        limit, population = self.budget.evaluations, self.optimizer.population
        given = len(self.optimizer.space.given)
        if given > population:
            raise ConfigError(
                f"population must be at least {given}, as many as the search has starts, got "
                f"{population}; set optimizer.population, or name fewer in start"
            )
        if limit is not None and limit < population:
            share = "" if self.name == "search" else f" as the share of the search {self.name}"
            raise ConfigError(
                f"evaluations must be at least one generation of {population}, got {limit}{share}; "
                "set budget.evaluations or optimizer.population"
            )


def _check_steady(stage: Stage) -> None:
    """Refuse parts that need a whole generation."""
    if not stage.fitness.steady:
        raise ConfigError(
            f"{type(stage.fitness).__name__} compares the candidates of a generation with each "
            "other, which a steady state does not wait for; set fitness=full, fitness=subset or "
            "schedule=generational"
        )
    if not stage.optimizer.steady:
        raise ConfigError(
            f"{type(stage.optimizer).__name__} must be told a generation before it asks the next; "
            "set another optimizer or schedule=generational"
        )


def stage_facts(stage: Stage) -> dict[str, Any]:
    """Return what the journal keeps of a stage: the axes of its space, its budget, its facts."""
    params = stage.merger.space.params
    return {
        "names": [param.name for param in params],
        "low": [param.low for param in params],
        "high": [param.high for param in params],
        "kinds": [param.kind for param in params],
        "choices": {param.name: list(param.choices) for param in params if param.choices},
        "population": stage.optimizer.population,
        "evaluations": stage.budget.evaluations,
        "minutes": stage.budget.minutes,
        **({"schedule": "steady_state"} if stage.steady else {}),
        **stage.merger.facts,
        **stage.facts,
    }


def options_of(cfg: Mapping[str, Any], name: str, noun: str) -> dict[str, Any]:
    """Return the options of a part of one search: the run's, and what is said of this search.

    Args:
        cfg: the whole configuration, whose `stages` is checked.
        name: of the search.
        noun: `fitness` or `optimizer`.
    """
    return {**cfg[noun], **cfg["stages"].get(name, {}).get(noun, {})}


def check_options(given: Any, names: Sequence[str]) -> None:
    """Refuse options of searches that a run does not have.

    Args:
        given: the run's `stages`.
        names: of its searches.

    Raises:
        ConfigError: what must be said otherwise.
    """
    if not isinstance(given, Mapping):
        raise ConfigError(f"stages must be a mapping, got {given!r}; set stages")
    for name, parts in given.items():
        if name not in names:
            raise ConfigError(
                f"stages must name searches of this run ({', '.join(names)}), got {name}; "
                "set stages"
            )
        for noun in parts if isinstance(parts, Mapping) else [parts]:
            if noun not in ("optimizer", "fitness") or not isinstance(parts[noun], Mapping):
                raise ConfigError(
                    f"stages.{name} must hold options of optimizer or fitness, got {noun}; "
                    f"set stages.{name}"
                )
