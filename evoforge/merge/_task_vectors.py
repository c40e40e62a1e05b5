"""The arithmetic of task vectors: drop, rescale, elect, add.

Task arithmetic, TIES, DARE, Breadcrumbs and DELLA are these four steps with different settings;
each method's module says which.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import torch

from evoforge.errors import ConfigError
from evoforge.merge._engine import parts
from evoforge.merge._masks import as_float, mask_numbers
from evoforge.merge._part import Numbers, Part, Whole
from evoforge.merge._reduce import Total, added
from evoforge.merge._tensors import TensorMerger
from evoforge.space import Range

Rescale = Literal["expected", "l1", "none"]
RESCALES: tuple[Rescale, ...] = get_args(Rescale)
Elect = Literal["weighted", "raw"]
ELECTS: tuple[Elect, ...] = get_args(Elect)
# Below this a sum of weights, or a norm, counts as nothing.
EPSILON = 1e-8
NORM_EPSILON = 1e-7


class TaskVectors(TensorMerger):
    """The base plus a weighted sum of what is kept of each task vector.

    theta = base + lambda sum_m w_m f_m keep(delta_m), where f_m makes up for what was dropped.
    `elects` says whether the sign of each element is elected, so that only elements of that sign
    are added.
    """

    elects: ClassVar[bool] = False

    def numbers(self, whole: Whole) -> Numbers:
        """Return weights, the factors on task vectors, and the factor on their sum."""
        weights = whole.column("weight")
        numbers = {
            "weight": torch.tensor(weights),
            "gain": torch.tensor(self.gain(whole)),
            **self.dropping(whole),
        }
        factors = self.factors(whole, numbers)
        scaled = [weight * factor for weight, factor in zip(weights, factors, strict=True)]
        return {**numbers, "scaled": torch.tensor(scaled)}

    def gain(self, whole: Whole) -> float:
        """Return the factor on the sum of task vectors."""
        summed = sum(whole.column("weight"))
        divides = self._normalizes and not self.elects and abs(summed) >= EPSILON
        return whole.shared["lambda_"] / (summed if divides else 1.0)

    @property
    def _normalizes(self) -> bool:
        return bool(self.options["normalize"])

    def mask_numbers(self, whole: Whole, densities: Sequence[float]) -> Numbers:
        """Return the numbers of random masks fixed by seed, source and tensor."""
        seed, hash_of = self.options["seed"], self.pool.hash
        keys = [f"{seed}/{hash_of(source)}/{whole.name}" for source in whole.sources]
        size = whole.tensors[0].numel()
        return mask_numbers(keys, densities, size, keep=not self._engine.compiles)

    def dropping(self, whole: Whole) -> Numbers:
        """Return the numbers that say what is kept of task vectors: here all."""
        del whole
        return {}

    def factors(self, whole: Whole, numbers: Numbers) -> Sequence[float]:
        """Return what each task vector is multiplied by to make up for what was dropped.

        Args:
            whole: the tensor of every source.
            numbers: what `dropping` returned.
        """
        how = self.options.get("rescale", "none")
        if how == "none":
            return [1.0] * len(whole.tensors)
        if how == "expected":
            return [1.0 / density for density in whole.column("density")]
        return [self._l1(whole, numbers, index) for index in range(len(whole.tensors))]

    def _l1(self, whole: Whole, numbers: Numbers, index: int) -> float:
        """Return the factor with which the sum of magnitudes stays what it was."""
        before, after = Total(), Total()
        for part in parts(whole, numbers):
            before.add(part.delta(index).abs())
            after.add(self.keep(part, index).abs())
        enough = min(before.value, after.value) >= NORM_EPSILON
        return before.value / after.value if enough else 1.0

    @abstractmethod
    def keep(self, part: Part, index: int) -> torch.Tensor:
        """Return what is kept of a source's task vector, 0 elsewhere."""

    def merge(self, part: Part) -> torch.Tensor:
        """Return the base plus what is kept of task vectors, weighted, where signs agree."""
        kept = [self.keep(part, index) for index in range(len(part.tensors))]
        if not self.elects:
            scaled = [values * part["scaled"][index] for index, values in enumerate(kept)]
            return (added(scaled) * part["gain"]).add_(part.anchor)
        return _elected(part, kept, self.options["elect"], self._normalizes)


def _elected(part: Part, kept: list[torch.Tensor], elect: Elect, normalize: bool) -> torch.Tensor:
    """Return the base plus the sum of those elements that have the elected sign.

    The sign is that of the sum (0 counts as +). With `normalize` each element is divided by the
    weights of the sources that took part in it.

    Reference:
        Yadav 2023, TIES-Merging (arXiv 2306.01708), section 3.
    """
    votes = kept
    if elect == "weighted":
        votes = [values * part["scaled"][index] for index, values in enumerate(kept)]
    ups = [values.clamp(min=0) for values in votes]
    downs = [values.clamp(max=0) for values in votes]
    up = as_float(torch.ge, added(ups) + added(downs), 0)
    if elect == "raw":
        ups = [values * part["scaled"][index] for index, values in enumerate(ups)]
        downs = [values * part["scaled"][index] for index, values in enumerate(downs)]
    mixed = _pick(up, added(ups), added(downs))
    if normalize:
        weights = part["weight"]
        above = [as_float(torch.gt, v, 0) * weights[i] for i, v in enumerate(votes)]
        below = [as_float(torch.lt, v, 0) * weights[i] for i, v in enumerate(votes)]
        divisors = _pick(up, added(above), added(below))
        mixed = mixed / (divisors + as_float(torch.eq, divisors, 0))
    return (mixed * part["gain"]).add_(part.anchor)


def _pick(chosen: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the first where chosen is 1.0, the second where it is 0.0."""
    return first * chosen + second * (1 - chosen)


def check_choice(option: str, given: str, choices: Sequence[str]) -> None:
    """Raise ConfigError if an option is none of its choices."""
    if given not in choices:
        raise ConfigError(
            f"{option} must be one of {', '.join(choices)}, got {given}; set merge.{option}"
        )


def weight_range(weight: Any) -> Range:
    """Read the option `weight`: of any sign."""
    return Range.parse("weight", weight, low=-10, high=10)


def density_range(density: Any) -> Range:
    """Read the option `density`: the share that is kept."""
    return Range.parse("density", density, low=0, high=1, open_low=True)


def lambda_range(lambda_: Any) -> Range:
    """Read the option `lambda_`: a factor on a whole sum of task vectors."""
    return Range.parse("lambda_", lambda_, low=-1e9, high=1e9)
