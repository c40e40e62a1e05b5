"""The Karcher mean: the point of the sphere that is nearest to all models along its arcs."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evoforge.errors import ConfigError
from evoforge.merge._sphere import (
    EPSILON,
    Gram,
    Shares,
    Spherical,
    inner,
    length,
    mean_direction,
    normalized,
    unit,
)
from evoforge.merge.base import Whole
from evoforge.models.layout import Granularity
from evoforge.models.pool import Pool
from evoforge.space import Range


class Karcher(Spherical):
    """The Riemannian centre of mass of the sources' directions, at their mean length.

    From mu, the mean direction, steps T = sum_m w_m theta_m / sin(theta_m) (u_m - cos(theta_m) mu)
    are taken along the sphere, mu <- cos|T| mu + sin|T| T / |T|, until |T| < tolerance. Then
    theta = (sum_m w_m |x_m|) mu.

    Args:
        pool: the sources; the base takes no part.
        weight: number or range, 0 or more; all are divided by their sum. Alike they give the usual
            mean.
        max_iterations: steps at most.
        tolerance: length of a step that is not worth taking, in radians.
        granularity: `whole`, `block`, `layer`, `module`, `tensor`, `profile`, or `auto`: the finest
            of the first four with 200 genes at most.
        block_size: layers to a group for `block`, from point to point for `profile`.

    Raises:
        ConfigError: an option makes no sense.

    Reference:
        Karcher 1977, Riemannian Center of Mass and Mollifier Smoothing.
    """

    needs_base = False

    def __init__(
        self,
        pool: Pool,
        *,
        weight: Any = 1.0,
        max_iterations: int = 10,
        tolerance: float = 1e-5,
        granularity: Granularity = "whole",
        block_size: int = 4,
    ) -> None:
        if max_iterations < 0:
            raise ConfigError(
                f"max_iterations must be 0 or more, got {max_iterations}; set merge.max_iterations"
            )
        if not 0 < tolerance < math.pi:
            raise ConfigError(f"tolerance must be in (0, pi), got {tolerance}; set merge.tolerance")
        super().__init__(
            pool,
            ranges={"weight": Range.parse("weight", weight, low=0, high=10)},
            options={"max_iterations": max_iterations, "tolerance": tolerance},
            granularity=granularity,
            block_size=block_size,
        )

    def shares(self, whole: Whole, gram: Gram) -> Shares:
        """Return the shares of the mean."""
        weights = normalized(whole.column("weight"))
        mean, size = mean_direction(gram, weights)
        if size <= EPSILON:
            return weights
        centre = mean / size
        for _ in range(self.options["max_iterations"]):
            step = self._step(gram, weights, centre)
            size = length(gram, step)
            if size < self.options["tolerance"]:
                break
            centre = np.cos(size) * centre + np.sin(size) / size * step
            centre = centre / length(gram, centre)
        shares: Shares = centre * float(weights @ np.sqrt(np.diagonal(gram)))
        return shares

    def _step(self, gram: Gram, weights: NDArray[np.float64], centre: Shares) -> Shares:
        step = np.zeros_like(centre)
        for i, weight in enumerate(weights):
            size = np.sqrt(gram[i, i])
            if size <= EPSILON:
                continue
            direction = unit(gram, i) / size
            cosine = float(np.clip(inner(gram, direction, centre), -1.0, 1.0))
            theta = float(np.arccos(cosine))
            if theta >= self.options["tolerance"]:
                step += weight * theta / np.sin(theta) * (direction - cosine * centre)
        return step
