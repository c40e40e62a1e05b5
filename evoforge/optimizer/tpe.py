"""TPE: where genomes were good, more densely than where they were not, is asked next.

Knows which genes stand for a few values only; does not know for what.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer._open import Open
from evoforge.optimizer.base import NOTHING, Details, Genomes, Optimizer, Origin, counts, finite
from evoforge.space import Genome, Space


class Tpe(Optimizer):
    """The tree-structured Parzen estimator of optuna, with batches.

    Two densities are fitted to what was told, one to the best tenth of all genomes (25 at most),
    one to the others; of some draws from the first that is asked at which it is largest in
    proportion to the second. Binary and choice genes are categories to it, integers whole numbers.
    Genomes of a batch that are not told yet count among the others, so that they keep apart.
    Given starts come first, or the space's start if there are none, then random genomes.

    Args:
        space: what is searched.
        population: genomes asked at a time.
        startup: genomes that must be told before the densities are used.
        draws: from the density of the best, of which one is asked.
        multivariate: whether a density is one of all genes together, or one for each gene.
        seed: of the random generator.

    Raises:
        ConfigError: an option makes no sense, or optuna is not there.

    Reference:
        Bergstra 2011, Algorithms for Hyper-Parameter Optimization (NeurIPS 24); Falkner 2018, BOHB
        (arXiv 1807.01774), all genes together; Watanabe 2023, Tree-Structured Parzen Estimator
        (arXiv 2304.11127).
    """

    steady = True

    def __init__(
        self,
        space: Space,
        *,
        population: int = 10,
        startup: int = 10,
        draws: int = 24,
        multivariate: bool = True,
        seed: int = 0,
    ) -> None:
        for option, given in (("population", population), ("startup", startup), ("draws", draws)):
            if given < 1:
                raise ConfigError(
                    f"{option} must be at least 1, got {given}; set optimizer.{option}"
                )
        if not isinstance(multivariate, bool):
            raise ConfigError(
                f"multivariate must be true or false, got {multivariate!r}; "
                "set optimizer.multivariate"
            )
        super().__init__(space, population)
        self._counts = counts(space)
        self._open: Open[Any] = Open()
        self._study = _study(startup, draws, multivariate, seed)
        self._axes = self._distributions()
        self._starts = list(space.given if len(space.given) else space.init[None])
        for start in self._starts:
            self._study.enqueue_trial(self._values(start))

    def _distributions(self) -> dict[str, Any]:
        """Return optuna's axis of each gene."""
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        axes: dict[str, Any] = {}
        for param, count in zip(self.space.params, self._counts.astype(int).tolist(), strict=True):
            if param.kind in ("binary", "choice"):
                axes[param.name] = CategoricalDistribution(range(count))
            elif param.kind == "integer":
                axes[param.name] = IntDistribution(0, count - 1)
            else:
                axes[param.name] = FloatDistribution(0.0, 1.0)
        return axes

    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim) float64 in [0, 1]."""
        trials = [self._study.ask(self._axes) for _ in range(self.population)]
        self._open.ask(trials)
        genomes = np.array([self._genome(trial.params) for trial in trials])
        # As they were given, not in the middle of a value's share.
        given, self._starts = self._starts[: self.population], self._starts[self.population :]
        genomes[: len(given)] = np.reshape(given, (-1, self.space.dim))
        names = ["start"] * len(given) + ["sample"] * (self.population - len(given))
        self.origins = tuple(map(Origin, names))
        return genomes

    def tell(self, genomes: Genomes, fitness: Genome, details: Details = NOTHING) -> None:
        """Say how good the genomes asked last are; see `Optimizer.tell`."""
        del genomes  # the study knows what it asked
        _, trials = self._open.tell(len(fitness), details)
        for trial, value in zip(trials, finite(fitness).tolist(), strict=True):
            self._study.tell(trial, value)

    def _genome(self, values: dict[str, Any]) -> Genome:
        numbers = np.array([values[name] for name in self.space.names], dtype=np.float64)
        return np.where(self._counts > 1, (numbers + 0.5) / self._counts, numbers)

    def _values(self, genome: Genome) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for param, count, gene in zip(self.space.params, self._counts, genome, strict=True):
            # A binary is 1 above one half, all others share [0, 1] evenly.
            share = int(gene > 0.5) if param.kind == "binary" else int(gene * count)
            values[param.name] = min(share, int(count) - 1) if count > 1 else float(gene)
        return values


def _study(startup: int, draws: int, multivariate: bool, seed: int) -> Any:
    """Return an empty study in memory, with a generator of its own."""
    try:
        import optuna
    except ImportError as error:
        raise ConfigError("optimizer=tpe needs optuna; pip install 'evoforge[tpe]'") from error

    with warnings.catch_warnings(), _quiet(logging.getLogger("optuna")):
        # Some versions call these options experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=startup,
            n_ei_candidates=draws,
            multivariate=multivariate,
            constant_liar=True,
            seed=int(np.random.SeedSequence(seed).generate_state(1)[0]),
        )
        return optuna.create_study(study_name="evoforge", direction="maximize", sampler=sampler)


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep a library from telling that a study begins, and leave its level as it was."""
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
