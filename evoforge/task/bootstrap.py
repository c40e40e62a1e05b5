"""The bootstrap median of a score, as published figures have it in place of the mean."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Bootstrap:
    """The median of the means of samples with replacement.

    The published evaluator draws from numpy's global generator, whatever state it is in; here one
    of its own is seeded, and the order of the scores does not matter.

    Args:
        samples: drawn.
        seed: of the generator.

    Reference:
        `BootstrapAggregator` of rouge_score 0.1.2, whose `mid` it is.
    """

    samples: int = 1000
    seed: int = 42

    @property
    def settings(self) -> dict[str, int]:
        """What decides it, as JSON values."""
        return asdict(self)

    def median(self, scores: Sequence[float]) -> float:
        """Return the median mean.

        Example:
            >>> Bootstrap().median([0.25, 0.25, 0.25])
            0.25
        """
        ordered = np.sort(np.asarray(scores, dtype=np.float64))
        generator = np.random.default_rng(self.seed)
        # Row by row: all places at once would take 4 GB for half a million items.
        means = [
            ordered[generator.integers(len(ordered), size=len(ordered))].mean()
            for _ in range(self.samples)
        ]
        return float(np.median(means))
