"""A mergekit file's numbers as a merger's own: which group of tensors, which source, how much.

mergekit finds every tensor's numbers by its name and its place along the layers. Here they are
found in the same way, and then gathered into the coarsest groups that can hold them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evoforge.errors import ConfigError
from evoforge.merge._task_vectors import EPSILON
from evoforge.merge._tensors import SHARED, TensorMerger, Values
from evoforge.merge.base import merger_class
from evoforge.mergekit_yaml.document import Document, Reference
from evoforge.models.layout import Granularity, groups, num_blocks, place
from evoforge.models.mergekit import members
from evoforge.models.pool import Pool
from evoforge.space import DECIMALS

# source -> parameter -> number
Columns = dict[str, dict[str, float]]
# How much of a number rounding to the space's decimals may change.
ROUNDING = 1e-4


def kept(number: float) -> float:
    """Return a number with six decimals, or with six digits where those would change it."""
    rounded = round(number, DECIMALS)
    near = abs(rounded - number) <= ROUNDING * abs(number)
    return rounded if near else float(f"{number:.{DECIMALS}g}")


@dataclass(frozen=True)
class Start:
    """A merger of the file's method, and the file's numbers for it."""

    merger: TensorMerger
    values: Values


def start(
    document: Document,
    pool: Pool,
    *,
    seed: int = 0,
    granularity: Granularity | None = None,
    block_size: int = 4,
) -> Start:
    """Return the merger of a file's method, with the file's numbers.

    Args:
        document: what the file says; not a path.
        pool: the sources.
        seed: of random masks.
        granularity: of the merger; None for the coarsest that can hold the numbers.
        block_size: layers to a group for `block`.

    Raises:
        ConfigError: the file asks for something that no merger makes, or the granularity is too
            coarse.
        PoolError: the models do not fit each other.
    """
    names = members(document, pool)
    _check_base(document, pool, names)
    places = tensor_places(document, pool)
    found = {name: _columns(document, names, name, *where) for name, where in places.items()}
    if document.name == "passthrough":
        # Its number counts all sources, also those that are not taken.
        found = {name: {source.name: {} for source in pool.sources} for name in places}
    shared = {name: _shared(document, pool, names, name, *at) for name, at in places.items()}
    tables = {name: found[name] | shared[name] for name in places}
    options = _options(document, places, seed)
    _check_sums(document, tables, options)
    coarse = [(granularity, block_size)] if granularity else _granularities(pool.names)
    options |= _limits(tables)
    if document.name == "passthrough":
        options["source"] = names[document.sources[0]]
    for layout in coarse:
        values = _gather(tables, pool.names, *layout)
        if values is not None:
            merger = _build(document, pool, *layout, options)
            return Start(merger, values)
    raise ConfigError(
        f"granularity must be as fine as the file's numbers are, got {granularity}; "
        "set merge.granularity=null"
    )


def tensor_places(document: Document, pool: Pool) -> dict[str, tuple[int, float]]:
    """Return for each tensor the number of its slice, and its place along the layers there.

    Embeddings go with the first slice, final norm and output embedding with the last; their place
    along the layers is 0. The only layer of a slice is at 1.
    """
    count = num_blocks(pool.names)
    layers = []
    for number, part in enumerate(_aligned(document, count)):
        layers += [(number, i / (part - 1) if part > 1 else 1.0) for i in range(part)]
    found = {}
    for name in pool.names:
        where = place(name)
        if where.block is not None:
            found[name] = layers[where.block]
        else:
            found[name] = (0 if where.module == "embedding" else len(document.slices) - 1, 0.0)
    return found


def _aligned(document: Document, count: int) -> list[int]:
    """Return the depths of slices that take every layer of all models once, in order."""
    if document.slices[0].depth is None:
        return [count]
    models = {each.model for each in document.slices[0].inputs}
    end = 0
    for part in document.slices:
        ranges = {each.layers for each in part.inputs}
        if len(ranges) > 1 or {each.model for each in part.inputs} != models:
            raise ConfigError(
                f"evoforge merges the same layers of the same models ({document.name}); check the "
                "slices' layer_range"
            )
        first, after = next(iter(ranges)) or (0, count)
        if first != end:
            raise ConfigError(f"the slices must go through all layers, layer {end} is not next")
        end = after
    if end != count:
        raise ConfigError(f"the slices must go through all {count} layers, got {end}")
    return [part.depth or count for part in document.slices]


def _check_base(document: Document, pool: Pool, names: Mapping[Reference, str]) -> None:
    base = document.task_base
    if base is not None and (pool.base is None or pool.base.name != names[base]):
        raise ConfigError(
            f"the file takes task vectors from {base}; set models.sources.{names[base]}.role=base"
        )
    first = names[document.sources[0]]
    if document.method.base == "start" and pool.sources[0].name != first:
        raise ConfigError(
            f"the file starts from {first}, which must be the first of models.sources"
        )


def _columns(
    document: Document, names: Mapping[Reference, str], name: str, part: int, along: float
) -> Columns:
    """Return the numbers of each source for a tensor."""
    found: Columns = {}
    if document.method.base == "start":
        t = document.number("t", name, part, along)
        if t is None:
            raise ConfigError(f"{document.name} needs t ({name})")
        return {names[document.sources[1]]: {"t": kept(t)}}
    for model in document.sources:
        column = {}
        for ours, key in document.method.columns.items():
            given = document.number(key.name, name, part, along, model) if key.name else None
            number = key.default if given is None else given
            if number is None:
                raise ConfigError(f"{document.name} needs {key.name} for {model} ({name})")
            column[ours] = number
        found[names[model]] = _usual(document, column)
    return found


def _usual(document: Document, column: Mapping[str, float]) -> dict[str, float]:
    """Return a source's numbers in the bounds that they have here, where mergekit cuts them."""
    found = {key: kept(number) for key, number in column.items()}
    if "density" in found:
        found["density"] = min(found["density"], 1.0)
        if found["density"] <= 0:
            _check_dropped(document)
            # Nothing is kept of the source: the same as no weight.
            found |= {"density": 1.0, "weight": 0.0}
        if "gamma" in found:
            # mergekit drops fewer of the largest where the density asks for it.
            found["gamma"] = min(found["gamma"], 1 - found["density"])
    return {key: kept(number) for key, number in found.items()}


def _check_dropped(document: Document) -> None:
    if document.name.endswith("linear") or document.name == "breadcrumbs":
        given = document.number("normalize", "", 0, 0.0)
        if given:
            raise ConfigError("density must be above 0 with normalize, got 0")


def _check_sums(
    document: Document, tables: Mapping[str, Columns], options: Mapping[str, Any]
) -> None:
    """Refuse weights so small that the merger would not divide by their sum."""
    if document.name != "linear" or not options["normalize"]:
        return
    for name, columns in tables.items():
        size = sum(abs(column["weight"]) for column in columns.values())
        if 0 < size < EPSILON:
            raise ConfigError(
                f"weights must sum to {EPSILON:g} or more with normalize, got {size:g} ({name}); "
                "multiply all by the same number"
            )


def _shared(
    document: Document,
    pool: Pool,
    names: Mapping[Reference, str],
    name: str,
    part: int,
    along: float,
) -> Columns:
    """Return the numbers of the whole merge for a tensor."""
    method = document.method
    if document.name == "passthrough":
        model = document.sources[0]
        scale = document.number("scale", name, part, along, model)
        index = [source.name for source in pool.sources].index(names[model])
        scale = 1.0 if scale is None else kept(scale)
        return {SHARED: {"source": float(index), "scale": scale}}
    if method.base == "start" or not method.shared:
        return {}
    found = {}
    for ours, key in method.shared.items():
        given = document.number(key.name, name, part, along) if key.name else None
        number = key.default if given is None else given
        assert number is not None
        found[ours] = kept(number)
    return {SHARED: found}


def _gather(
    tables: Mapping[str, Columns], names: Sequence[str], granularity: Granularity, block_size: int
) -> dict[str, Columns] | None:
    """Return the numbers of each group, or None if tensors of one differ."""
    found = {}
    for group, inside in groups(names, granularity, block_size).items():
        if any(tables[name] != tables[inside[0]] for name in inside):
            return None
        found[group] = tables[inside[0]]
    return found


def _granularities(names: Sequence[str]) -> list[tuple[Granularity, int]]:
    """Return all ways to group tensors, the coarsest first."""
    blocks: list[tuple[Granularity, int]] = [
        ("block", size) for size in range(num_blocks(names), 1, -1)
    ]
    return [("whole", 4), *blocks, ("layer", 4), ("module", 4), ("tensor", 4)]


def _limits(tables: Mapping[str, Columns]) -> dict[str, Any]:
    """Return the bounds of each number, as the constructors of mergers take them."""
    found: dict[str, list[float]] = {}
    for columns in tables.values():
        for column in columns.values():
            for key, number in column.items():
                found.setdefault(key, []).append(number)
    found.pop("source", None)
    return {
        key: {"low": min(numbers), "high": max(numbers)} if len(set(numbers)) > 1 else numbers[0]
        for key, numbers in found.items()
    }


def _options(
    document: Document, places: Mapping[str, tuple[int, float]], seed: int
) -> dict[str, Any]:
    """Return what the constructor takes beside numbers."""
    switches = {
        key: _switch(document, places, key, default)
        for key, default in document.method.switches.items()
    }
    found: dict[str, Any] = {}
    if "normalize" in switches:
        found["normalize"] = bool(switches["normalize"])
    if "rescale" in switches:
        found["rescale"] = "l1" if switches["rescale"] else "none"
    if "nuslerp_flatten" in switches:
        found["along"] = _along(switches)
    if "filter_wise" in switches:
        found["along"] = "row" if switches["filter_wise"] else "tensor"
    if "max_iter" in switches:
        found |= {"max_iterations": int(switches["max_iter"]), "tolerance": switches["tol"]}
    if "alpha" in switches:
        found["limit"] = switches["alpha"]
    if document.method.base == "optional":
        found["task_vectors"] = document.base is not None
    if document.name.startswith(("dare", "della")):
        found["seed"] = seed
    for key in ("normalize_weights", "eps", "epsilon"):
        usual = document.method.switches.get(key)
        if switches.get(key, usual) != usual:
            raise ConfigError(f"{key} must be {usual:g}, got {switches[key]:g}; leave it out")
    return found


def _along(switches: Mapping[str, float]) -> str:
    if switches["nuslerp_flatten"]:
        return "tensor"
    return "column" if switches["nuslerp_row_wise"] else "row"


def _switch(
    document: Document, places: Mapping[str, tuple[int, float]], key: str, default: float
) -> float:
    """Return what holds for the whole model."""
    given = [document.number(key, name, *where) for name, where in places.items()]
    found = {default if each is None else each for each in given}
    if len(found) > 1:
        raise ConfigError(f"{key} must be the same for all tensors")
    return found.pop()


def _build(
    document: Document,
    pool: Pool,
    granularity: Granularity,
    block_size: int,
    options: Mapping[str, Any],
) -> TensorMerger:
    try:
        merger = merger_class(document.method.merger)(
            pool, granularity=granularity, block_size=block_size, **options
        )
    except ConfigError as error:
        # What cannot be used is in the file, not among the options.
        text = re.sub(r"; set merge\.\w+$", "; change it in the mergekit file", str(error))
        raise type(error)(text) from error
    assert isinstance(merger, TensorMerger)
    return merger
