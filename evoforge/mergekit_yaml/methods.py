"""The methods of mergekit: what each takes, what it defaults to, and what it is called here.

Written from the behaviour of mergekit 0.1.5; a list of facts, without any code.

Reference:
    Goddard 2024, Arcee's MergeKit (arXiv 2403.13257).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# What `base_model` is to a method: what task vectors are taken from; likewise, if it is given; the
# model that an interpolation starts from; or one of the models.
Base = Literal["needed", "optional", "start", "input"]
# Taken by every method, of no effect on the result.
IDLE = frozenset({"int8_mask"})


@dataclass(frozen=True)
class Key:
    """A number of a method.

    Args:
        name: as mergekit spells it.
        default: what mergekit takes if it is not given; None if it must be.
        low: the smallest value to search.
        high: the largest value to search.
        relative: whether a search goes around it in shares of itself, because it is small.
    """

    name: str
    default: float | None
    low: float = -10.0
    high: float = 10.0
    relative: bool = False


@dataclass(frozen=True)
class Method:
    """A method of mergekit.

    Args:
        merger: the method here.
        base: what `base_model` is to it.
        columns: the numbers of each model, by their names here.
        shared: the numbers of the whole merge, by their names here.
        switches: what holds for the whole model, with mergekit's defaults; as numbers.
        idle: what is taken and has no effect.
        most: the number of models beside a base that is needed; None for any.
        least: likewise, the fewest.
    """

    merger: str
    base: Base
    columns: Mapping[str, Key] = field(default_factory=dict)
    shared: Mapping[str, Key] = field(default_factory=dict)
    switches: Mapping[str, float] = field(default_factory=dict)
    idle: frozenset[str] = IDLE
    least: int = 1
    most: int | None = None

    @property
    def numbers(self) -> set[str]:
        """All its numbers, by their names here."""
        return {*self.columns, *self.shared}

    @property
    def source_keys(self) -> set[str]:
        """What can be said of one model, as mergekit spells it."""
        return {key.name for key in self.columns.values()}

    @property
    def keys(self) -> set[str]:
        """What can be said of the whole merge, as mergekit spells it."""
        shared = {key.name for key in self.shared.values()}
        return self.source_keys | shared | set(self.switches) | self.idle


WEIGHT = Key("weight", None)
# Of methods that take a direction between models.
SHARE = Key("weight", None, low=0.0)
DENSITY = Key("density", 1.0, low=0.01, high=1.0)
GAMMA = Key("gamma", 0.01, low=0.0, high=0.999, relative=True)
EPSILON = Key("epsilon", 0.15, low=0.0, high=0.999, relative=True)
LAMBDA = Key("lambda", 1.0)
# What mergekit has no number for.
NO_LAMBDA = Key("", 1.0)


def _task_vectors(
    merger: str, *, normalize: bool, rescale: bool, density: bool = True, **more: Key
) -> Method:
    columns = {"weight": WEIGHT, **({"density": DENSITY} if density else {}), **more}
    switches = {"normalize": float(normalize), **({"rescale": float(rescale)} if density else {})}
    idle = IDLE if density else IDLE | {"density", "rescale"}
    return Method(merger, "needed", columns, {"lambda_": LAMBDA}, switches, idle)


METHODS: dict[str, Method] = {
    "linear": Method("linear", "input", {"weight": WEIGHT}, switches={"normalize": 1.0}),
    "slerp": Method(
        "slerp", "start", shared={"t": Key("t", None, low=0.0, high=1.0)}, least=2, most=2
    ),
    "nuslerp": Method(
        "nuslerp",
        "optional",
        {"weight": SHARE},
        switches={"nuslerp_flatten": 1.0, "nuslerp_row_wise": 0.0},
        least=2,
        most=2,
    ),
    "multislerp": Method(
        "multislerp",
        "optional",
        {"weight": SHARE},
        switches={"normalize_weights": 1.0, "eps": 1e-8},
    ),
    "karcher": Method(
        "karcher",
        "input",
        {"weight": Key("", 1.0, low=0.0)},
        switches={"max_iter": 10.0, "tol": 1e-5},
    ),
    "task_arithmetic": _task_vectors(
        "task_arithmetic", normalize=False, rescale=False, density=False
    ),
    "ties": _task_vectors("ties", normalize=True, rescale=False),
    "dare_ties": _task_vectors("dare_ties", normalize=False, rescale=True),
    "dare_linear": _task_vectors("dare_linear", normalize=False, rescale=True),
    "breadcrumbs": _task_vectors("breadcrumbs", normalize=False, rescale=False, gamma=GAMMA),
    "breadcrumbs_ties": _task_vectors(
        "breadcrumbs_ties", normalize=False, rescale=False, gamma=GAMMA
    ),
    "della": _task_vectors("della", normalize=True, rescale=True, epsilon=EPSILON),
    "della_linear": _task_vectors("della_linear", normalize=False, rescale=True, epsilon=EPSILON),
    "model_stock": Method(
        "model_stock",
        "needed",
        shared={"lambda_": NO_LAMBDA},
        switches={"filter_wise": 0.0},
        least=2,
    ),
    "sce": Method(
        "sce",
        "needed",
        shared={
            "density": Key("select_topk", 1.0, low=0.01, high=1.0),
            "lambda_": NO_LAMBDA,
        },
        least=2,
    ),
    "nearswap": Method(
        "nearswap", "start", shared={"t": Key("t", None, low=0.0, relative=True)}, least=2, most=2
    ),
    "arcee_fusion": Method(
        "arcee_fusion",
        "needed",
        {"weight": Key("", 1.0)},
        {"reach": Key("", 1.5), "lambda_": NO_LAMBDA},
        most=1,
    ),
    "ram": Method(
        "ram",
        "needed",
        shared={"lambda_": NO_LAMBDA, "boost": Key("", 0.0, low=0.0)},
        switches={"epsilon": 1e-5},
    ),
    "ramplus_tl": Method(
        "ram",
        "needed",
        shared={"lambda_": NO_LAMBDA, "boost": Key("r", 0.1, low=0.0, relative=True)},
        switches={"epsilon": 1e-5, "alpha": 0.2},
    ),
    "passthrough": Method("passthrough", "input", {"scale": Key("scale", 1.0)}, most=1),
}
