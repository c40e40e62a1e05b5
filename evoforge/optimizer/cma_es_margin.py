"""CMA-ES with margin: no value of a binary, integer or choice gene ever dies out.

Knows which genes stand for a few values only; does not know for what.
"""

import math
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.optimizer._open import Open
from evoforge.optimizer.base import NOTHING, Details, Genomes, Optimizer, Origin, counts, finite
from evoforge.space import Genome, Space

# The matrix is decomposed for every generation and multiplied for every genome.
MOST_GENES = 500
# A whole genome is drawn again while a number lies outside; with many genes one always does.
REDRAWS = 100
# Spreads, as shares of a range, that leave nothing to learn: floating point ends beyond them.
LEAST_SPREAD, MOST_SPREAD = 1e-10, 1e3


class CmaEsMargin(Optimizer):
    """CMA-ES with margin, from the cmaes library, started at the space's start.

    After every generation the mean and the spread of a discrete gene are corrected so that each
    value beside its likeliest keeps a chance of 1 / (genes x population). A number outside [0, 1]
    is drawn again with its whole genome, at last clipped. Without discrete genes it is plain
    CMA-ES. A distribution that has collapsed or run away is left as it is, and asked on. Given
    starts are asked before anything is drawn; the first of them is the mean, and from the others
    it learns as if they lay no farther off than what it draws.

    Args:
        space: what is searched; at most 500 genes.
        population: genomes asked at a time; None for 4 + floor(3 ln n).
        sigma: first standard deviation, as a share of every parameter's range.
        seed: of the random generator.

    Raises:
        ConfigError: an option makes no sense, or the space is too large.

    Reference:
        Hamano 2022, CMA-ES with Margin: Lower-Bounding Marginal Probability for Mixed-Integer
        Black-Box Optimization (arXiv 2205.13482); Hansen 2011, Injecting External Solutions Into
        CMA-ES (arXiv 1110.4181), the given starts.
    """

    steady = True

    def __init__(
        self,
        space: Space,
        *,
        population: int | None = None,
        sigma: float = 1 / 6,
        seed: int = 0,
    ) -> None:
        if population is not None and population < 4:
            raise ConfigError(
                f"population must be at least 4, got {population}; set optimizer.population"
            )
        if not 0 < sigma <= 1:
            raise ConfigError(f"sigma must be in (0, 1], got {sigma}; set optimizer.sigma")
        if space.dim > MOST_GENES:
            raise ConfigError(
                f"a space for cma_es_margin must have at most {MOST_GENES} genes, got "
                f"{space.dim}; set optimizer=cma_es"
            )
        super().__init__(space, population or 4 + math.floor(3 * math.log(space.dim)))
        self._sigma = sigma
        self._given = space.given
        self._tellings = 0
        # Of each genome: the library's vector, and after how many tellings it was drawn.
        self._open: Open[tuple[Genome, int]] = Open()
        self._inbox: list[tuple[Genome, float]] = []
        self._latest = space.init[None]
        self._search = self._start(seed)

    def _start(self, seed: int) -> Any:
        import cmaes

        values = counts(self.space)
        # The middle of the cube is 0: near it floats are finest, and there lies the threshold of
        # a binary, to which its mean stays close.
        start = self.space.init - 0.5
        # n values lie in the middle of their shares of the range; two lie at its ends, so that a
        # start anywhere between is within bounds.
        reach = np.where(values > 2, 0.5 - 0.5 / values, 0.5)
        return cmaes.CMAwM(
            mean=np.clip(start, -reach, reach),
            sigma=self._sigma,
            bounds=np.column_stack([-reach, reach]),
            steps=np.where(values > 1, 2 * reach / np.maximum(values - 1, 1), 0),
            n_max_resampling=REDRAWS // self.space.dim,
            seed=int(np.random.SeedSequence(seed).generate_state(1)[0]),
            population_size=self.population,
        )

    def ask(self) -> Genomes:
        """Return the next genomes: (population, dim) float64 in [0, 1]."""
        pairs = [self._search.ask() for _ in range(self.population)]
        # The library learns from its own vectors, not from the values that they stand for.
        asked = np.array([vector for _, vector in pairs])
        genomes = self._genes(np.array([values for values, _ in pairs]))
        given, self._given = np.split(self._given, [self.population])
        genomes[: len(given)] = given
        asked[: len(given)] = self._near(given - 0.5)
        self._latest = asked
        self._open.ask((vector, self._tellings) for vector in asked)
        names = ["start"] * len(given) + ["sample"] * (self.population - len(given))
        self.origins = tuple(map(Origin, names))
        return genomes

    def _near(self, vectors: Genomes) -> Genomes:
        """Return vectors that the library did not draw, or not just now, on their way to the mean.

        A step of many standard deviations would tear the distribution apart; draws are about
        sqrt(n) from the mean, and Hansen 2011 lets foreign ones be 2 n / (n + 2) farther.
        """
        steps = vectors - self._search.mean
        n = self.space.dim
        longest = self._sigma * (math.sqrt(n) + 2 * n / (n + 2))
        lengths = np.linalg.norm(steps, axis=1, keepdims=True)
        nearer: Genomes = self._search.mean + steps * (longest / np.maximum(lengths, longest))
        return nearer

    def tell(self, genomes: Genomes, fitness: Genome, details: Details = NOTHING) -> None:
        """Say how good genomes are; see `Optimizer.tell`."""
        del genomes
        finite(fitness)  # refuses failures alone
        _, known = self._open.tell(len(fitness), details)
        for (vector, tellings), value in zip(known, fitness.tolist(), strict=True):
            stale = tellings < self._tellings
            self._inbox.append((self._near(vector[None])[0] if stale else vector, value))
        # The library takes as many as it asks.
        while len(self._inbox) >= self.population:
            batch, self._inbox = self._inbox[: self.population], self._inbox[self.population :]
            self._learn(np.array([v for v, _ in batch]), np.array([value for _, value in batch]))

    def _learn(self, vectors: Genomes, fitness: Genome) -> None:
        """Move the distribution, unless there is nothing to learn from."""
        if not np.isfinite(fitness).any():
            return
        losses = -finite(fitness)
        spread = np.ptp(vectors, axis=0)
        if spread.min() > LEAST_SPREAD and spread.max() < MOST_SPREAD:
            self._search.tell(list(zip(vectors, losses.tolist(), strict=True)))
        self._tellings += 1

    def recommend(self) -> Genomes:
        """Return the mean of the distribution: under noise better than any one genome."""
        return self._genes(self._search.mean[None])

    @property
    def facts(self) -> dict[str, Any]:
        """How wide the genomes asked last lay: the root mean square of their deviations."""
        return {"sigma": float(f"{np.sqrt(self._latest.var(axis=0).mean()):.6g}")}

    def _genes(self, vectors: Genomes) -> Genomes:
        return np.clip(vectors + 0.5, 0.0, 1.0)
