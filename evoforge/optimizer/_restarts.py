"""When a search that gets nowhere starts anew, and how wide: IPOP and BIPOP.

Knows fitness, populations and evaluations; does not know what is searched.
"""

import math
from dataclasses import dataclass

import numpy as np

RESTARTS = ("none", "ipop", "bipop")


@dataclass(frozen=True)
class Regime:
    """How a run after a restart searches.

    Args:
        population: genomes asked at a time.
        sigma: first standard deviation, as a share of every range.
        evaluations: after which it ends whatever it finds; None for no such end.
    """

    population: int
    sigma: float
    evaluations: int | None = None


class Restarts:
    """What regime follows what.

    IPOP doubles the population each time. BIPOP does so, too, but in between it spends as many
    evaluations on runs of small populations, between the first and half the large one's, from
    narrower starts, each of which may use half of what the last large run used:

        small = first (large / (2 first))^(u^2),  sigma = first sigma / 10^v,  u, v ~ U[0, 1]

    Args:
        kind: `ipop` or `bipop`.
        population: of the first run.
        sigma: of the first run.
        generator: what u and v are drawn from.

    Reference:
        Auger 2005, A Restart CMA Evolution Strategy With Increasing Population Size (CEC);
        Hansen 2009, Benchmarking a BI-Population CMA-ES on the BBOB-2009 Function Testbed (GECCO),
        where v goes to 2: a hundredth of sigma is less than a step of an accuracy.
    """

    def __init__(
        self, kind: str, population: int, sigma: float, generator: np.random.Generator
    ) -> None:
        self._kind = kind
        self._first = Regime(population, sigma)
        self._large = population
        self._generator = generator
        # Evaluations by large and by small runs, the first run aside, and by the last large one.
        self._used = {"large": 0, "small": 0}
        self._last_large = 0
        self._running: str | None = None

    def following(self, used: int) -> Regime:
        """Return the next regime, after a run that used so many evaluations."""
        if self._running is not None:
            self._used[self._running] += used
        if self._running != "small":
            self._last_large = used
        if self._kind == "bipop" and self._used["small"] < self._used["large"]:
            self._running = "small"
            return self._small()
        self._running = "large"
        self._large *= 2
        return Regime(self._large, self._first.sigma)

    def _small(self) -> Regime:
        u, v = self._generator.random(2)
        first = self._first.population
        population = math.floor(first * (self._large / (2 * first)) ** (u**2))
        return Regime(population, self._first.sigma / 10**v, max(1, self._last_large // 2))


class Progress:
    """Whether generations still get better, beyond noise.

    Generations may be judged on different items, so what counts are their medians over a while:
    there is progress if the later half of the last `patience` generations is better than the
    earlier half by more than one standard error of the difference.

    Args:
        patience: generations that are looked at.
    """

    def __init__(self, patience: int) -> None:
        self._half = patience // 2
        self._medians: list[float] = []

    def see(self, median: float) -> None:
        """Take note of a generation's median fitness."""
        self._medians = [*self._medians, median][-2 * self._half :]

    @property
    def over(self) -> bool:
        """Whether there is none left."""
        if len(self._medians) < 2 * self._half:
            return False
        halves = np.reshape(self._medians, (2, self._half))
        earlier, later = halves.mean(axis=1)
        error = math.sqrt(halves.var(axis=1, ddof=1).sum() / self._half)
        return bool(later - earlier <= error)
