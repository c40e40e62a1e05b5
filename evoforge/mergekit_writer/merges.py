"""Merges of weights as mergekit configurations: the same method with the same numbers.

Knows recipes and mergekit's methods; what mergekit cannot make is not written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evoforge.mergekit_writer.numbers import compact
from evoforge.mergekit_yaml.methods import METHODS, Method
from evoforge.models.layout import groups
from evoforge.models.mergekit import mergekit_reference
from evoforge.models.pool import Pool
from evoforge.recipe import Recipe

SHARED = "*"
# A sum of weights that counts as nothing here, and is divided by in mergekit.
NOTHING = 1e-6
# DELLA's probabilities must be inside (0, 1) in mergekit.
INSIDE = 1e-6
# tensor -> number
Numbers = Mapping[str, float]

# What a recipe's options may be for its merge to be known here.
OPTIONS = {"granularity", "block_size", "normalize", "rescale", "elect", "seed", "along"}
OPTIONS |= {"task_vectors", "max_iterations", "tolerance", "limit", "source"}

ONE = "one element of a tensor more or less may be dropped, as shares are rounded"
MASKS = "mergekit draws other random masks, so its weights differ where something is dropped"
L1 = "here what is kept is divided by the density, in mergekit its sum of magnitudes is restored"
NOTES = {
    "sce": "mergekit weighs models alike where task vectors are small (mean square below 1e-6)",
    "arcee_fusion": "mergekit takes quartiles of a random million of a tensor's elements",
}


@dataclass
class Written:
    """A configuration, and what a reader should know of it.

    Args:
        content: as YAML holds it.
        notes: a sentence each.
    """

    content: dict[str, Any]
    notes: list[str] = field(default_factory=list)


class Table:
    """The numbers of a recipe, by tensor.

    Args:
        recipe: of a merge of weights.
        pool: its sources.
    """

    def __init__(self, recipe: Recipe, pool: Pool) -> None:
        content = recipe.content
        self.options: Mapping[str, Any] = content["options"]
        self.sources = [source["name"] for source in content["sources"]]
        self._values = content["values"]
        layout = self.options["granularity"], self.options["block_size"]
        by_group = groups(pool.names, *layout)
        self._group = {name: key for key, names in by_group.items() for name in names}

    def numbers(self, source: str, key: str) -> Numbers:
        """Return a parameter of a source for each tensor."""
        return {name: self._values[group][source][key] for name, group in self._group.items()}

    def each(self, key: str) -> list[Numbers]:
        """Return a parameter of all sources."""
        return [self.numbers(source, key) for source in self.sources]

    def sums(self, key: str) -> list[float]:
        """Return the sum of a parameter over the sources, for each tensor."""
        columns = self.each(key)
        return [sum(column[name] for column in columns) for name in self._group]

    @property
    def keys(self) -> set[str]:
        """The names of all parameters."""
        columns = [column for group in self._values.values() for column in group.values()]
        return {key for column in columns for key in column}

    def has(self, source: str, key: str) -> bool:
        """Whether a source has a parameter."""
        return all(key in columns.get(source, {}) for columns in self._values.values())


def merge(recipe: Recipe, pool: Pool) -> Written | None:
    """Return the configuration of a merge of weights, or None if mergekit cannot make it."""
    content = recipe.content
    name = content["method"]
    if name not in METHODS or not set(content["options"]) <= OPTIONS:
        return None
    table = Table(recipe, pool)
    if name == "passthrough":
        found = _passthrough(table, pool)
    else:
        if name == "ram" and set(table.numbers(SHARED, "boost").values()) != {0.0}:
            name = "ramplus_tl"
        found = _method(name, table, pool, content["base"])
    if found is None:
        return None
    # mergekit then merges in float32 as evoforge does, and rounds once.
    found.content["dtype"] = "float32"
    if pool.dtype_name != "float32":
        found.content["out_dtype"] = pool.dtype_name
    return _with_tokenizer(found, pool)


def _method(name: str, table: Table, pool: Pool, base: Mapping[str, str] | None) -> Written | None:
    method = METHODS[name]
    if not _can(name, method, table):
        return None
    refs = {source: mergekit_reference(pool.member(source)) for source in table.sources}
    anchor = table.sources[0] if method.base == "start" else base["name"] if base else None
    refs |= {anchor: mergekit_reference(pool.member(anchor))} if anchor else {}
    if None in refs.values():
        return None
    notes = [NOTES[key] for key in NOTES if name.startswith(key)]
    models: list[dict[str, Any]]
    models = [] if anchor is None or anchor in table.sources else [{"model": refs[anchor]}]
    for source in table.sources:
        given = _parameters(method.columns, table, source, notes)
        models.append({"model": refs[source], **({"parameters": given} if given else {})})
    where = table.sources[-1] if method.base == "start" else SHARED
    shared = _parameters(method.shared, table, where, notes) | _switches(method, table, notes)
    if name.startswith(("dare", "della")) and _drops(table):
        notes.append(MASKS)
    return Written(
        {
            "merge_method": name,
            **({"base_model": refs[anchor]} if anchor else {}),
            "models": models,
            **({"parameters": shared} if shared else {}),
        },
        notes,
    )


def _can(name: str, method: Method, table: Table) -> bool:
    """Whether mergekit has what a recipe asks for."""
    count = len(table.sources)
    if count < method.least or (method.most is not None and count > method.most):
        return False
    if table.options.get("elect", "weighted") != "weighted":
        return False
    if name == "karcher":
        # mergekit knows equal weights only.
        columns = table.each("weight")
        return all(column == columns[0] for column in columns) and min(columns[0].values()) > 0
    divides = name in ("multislerp", "nuslerp") or (name == "linear" and table.options["normalize"])
    if divides and min(map(abs, table.sums("weight"))) < NOTHING:
        return False
    if not table.keys <= method.numbers:
        return False
    # What mergekit has no number for must be what it takes for granted.
    for source, keys in [*((s, method.columns) for s in table.sources), (SHARED, method.shared)]:
        for ours, key in keys.items():
            if not key.name and set(table.numbers(source, ours).values()) != {key.default}:
                return False
    return True


def _parameters(
    keys: Mapping[str, Any], table: Table, source: str, notes: list[str]
) -> dict[str, Any]:
    found = {}
    for ours, key in keys.items():
        if key.name and not (key.name == "lambda" and _is(table.numbers(source, ours), 1.0)):
            numbers = table.numbers(source, ours)
            found[key.name] = compact(_cut(ours, numbers, table, source, notes))
    return found


def _is(numbers: Numbers, number: float) -> bool:
    return set(numbers.values()) == {number}


def _cut(ours: str, numbers: Numbers, table: Table, source: str, notes: list[str]) -> Numbers:
    """Return numbers in mergekit's bounds, where those mean something else there."""
    if ours == "epsilon":
        density = table.numbers(source, "density")
        room = {name: max(0.0, min(d, 1 - d) - INSIDE) for name, d in density.items()}
        cut = {n: x if density[n] >= 1 else min(x, room[n]) for n, x in numbers.items()}
        return {name: round(x, 6) for name, x in cut.items()}
    if ours == "density" and table.has(source, "gamma"):
        # mergekit drops fewer of the largest instead.
        gamma = table.numbers(source, "gamma")
        cut = {name: round(min(x, 1 - gamma[name]), 6) for name, x in numbers.items()}
        if cut != numbers and ONE not in notes:
            notes.append(ONE)
        return cut
    return numbers


def _switches(method: Method, table: Table, notes: list[str]) -> dict[str, Any]:
    options = table.options
    found: dict[str, Any] = {}
    if "normalize" in method.switches:
        found["normalize"] = options["normalize"]
    if "rescale" in method.switches:
        found["rescale"] = options["rescale"] != "none"
        if options["rescale"] == "expected" and _drops(table):
            notes.append(L1)
    if "nuslerp_flatten" in method.switches:
        found["nuslerp_flatten"] = options["along"] == "tensor"
        found["nuslerp_row_wise"] = options["along"] == "column"
    if "filter_wise" in method.switches:
        found["filter_wise"] = options["along"] == "row"
    if "max_iter" in method.switches:
        found |= {"max_iter": options["max_iterations"], "tol": options["tolerance"]}
    if "alpha" in method.switches:
        found["alpha"] = options["limit"]
    return found


def _drops(table: Table) -> bool:
    return any(not _is(column, 1.0) for column in table.each("density"))


def _passthrough(table: Table, pool: Pool) -> Written | None:
    """Return a passthrough of one source, or a linear merge with weights 0 of all but one."""
    taken, scale = table.numbers(SHARED, "source"), table.numbers(SHARED, "scale")
    names = table.sources
    used = [index for index in range(len(names)) if index in set(map(round, taken.values()))]
    refs = {index: mergekit_reference(pool.member(names[index])) for index in used}
    if None in refs.values():
        return None
    if len(used) == 1:
        model = {"model": refs[used[0]], "parameters": {"scale": compact(scale)}}
        return Written({"merge_method": "passthrough", "models": [model]})
    models = [
        {
            "model": refs[index],
            "parameters": {
                "weight": compact(
                    {n: x if round(taken[n]) == index else 0.0 for n, x in scale.items()}
                )
            },
        }
        for index in used
    ]
    parameters = {"normalize": False}
    return Written({"merge_method": "linear", "models": models, "parameters": parameters})


def _with_tokenizer(found: Written, pool: Pool) -> Written | None:
    """Add whose tokens merged models have."""
    vocabulary = pool.vocabulary
    if vocabulary is None:
        return with_own_tokenizer(found, pool)
    if vocabulary.get("truncate"):
        return None  # mergekit does this by an option of its command only
    home = vocabulary["tokenizer"]
    source = "union" if home == "union" else mergekit_reference(pool.member(pool.tokenizer_source))
    if source is None:
        return None
    multiple = vocabulary.get("pad_to_multiple_of")
    section = {"source": source, **({"pad_to_multiple_of": multiple} if multiple else {})}
    found.content["tokenizer"] = section
    if vocabulary["padding"]:
        found.notes.append(
            f"embeddings have {vocabulary['rows']} rows here; mergekit keeps no rows without tokens"
        )
    return found


def with_own_tokenizer(found: Written, pool: Pool) -> Written | None:
    """Add whose tokenizer merged models have, unless mergekit would cut embeddings to it."""
    source = mergekit_reference(pool.member(pool.tokenizer_source))
    if source is None:
        return None
    rows = int(pool.model_config().get_text_config().vocab_size)
    if len(pool.tokenizer.get_vocab()) == rows:
        found.content["tokenizer_source"] = source
    return found
