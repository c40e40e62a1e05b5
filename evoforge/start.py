"""Where searches start: the uniform soup, or what other runs and mergekit files found.

Turns the entries of `start` into genomes. They are read once, when a run begins, and kept in its
journal; a run that goes on reads nothing again. Knows records, recipes and mergers; does not know
how a space is searched.
"""

import difflib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.finalists import ranked
from evoforge.merge.base import Merger, Phase, inner
from evoforge.merge.linear import Linear
from evoforge.merge.mergekit import fixed
from evoforge.mergekit_yaml.document import read
from evoforge.models.pool import Pool
from evoforge.opened import opened
from evoforge.recipe import FORMAT, Recipe, canonical
from evoforge.record import WINNER, Record
from evoforge.space import Genome

WORDS = ("soup", "middle")
KINDS = ("run", "journal", "mergekit", "recipe")
ENTRIES = (
    "soup, middle, {run: FOLDER}, {journal: FOLDER, best: N}, {mergekit: FILE}, {recipe: FILE}"
)
# Of a journal, where the entry does not say how many.
BEST = 5


@dataclass(frozen=True)
class Start:
    """A genome that a search asks first.

    Args:
        text: where it comes from, without paths of this machine.
        genome: (dim,) float64 in [0, 1].
        recipe: the hash of its recipe; None where that hangs on the search before.
    """

    text: str
    genome: Genome
    recipe: str | None

    @property
    def facts(self) -> dict[str, Any]:
        """The start as a journal keeps it, as JSON."""
        return {"from": self.text, "genome": self.genome.tolist(), "recipe": self.recipe}


# The starts of each search by its name; searches without any are left out.
Starts = Mapping[str, Sequence[Start]]


def recorded(facts: Mapping[str, Sequence[Mapping[str, Any]]]) -> Starts:
    """Return the starts that a journal keeps."""
    return {
        stage: [Start(one["from"], np.array(one["genome"]), one["recipe"]) for one in found]
        for stage, found in facts.items()
    }


def starts(given: Any, merger: Merger, seed: int = 0) -> Starts:
    """Return where the searches of a run start, from its `start`.

    A run of two searches starts each of them with what it can read: the merge of weights of a
    recipe, and its path. A genome that comes twice counts once.

    Args:
        given: a list of entries, the first of which takes the place of the space's middle.
        merger: what is searched.
        seed: of the masks of a mergekit file's merge.

    Raises:
        ConfigError: an entry is mistyped, cannot be read, or says nothing to any search.
    """
    found: dict[str, list[Start]] = {}
    for entry in _entries(given):
        used, said = False, ""
        for phase in merger.phases:
            for text, recipe in _offers(entry, phase, seed):
                start = _start(text, recipe, phase)
                said = f"{text} is {_kind(recipe)}"
                if start is not None:
                    used = True
                    _add(found.setdefault(phase.name, []), start)
        if not used:
            raise ConfigError(f"{said}, from which merge={merger.method} cannot start; set start")
    return found


def _kind(recipe: Recipe | None) -> str:
    path = recipe is not None and "path" in recipe.content
    return "a path through layers" if path else "a merge of weights"


def _add(known: list[Start], start: Start) -> None:
    if not any(np.array_equal(start.genome, other.genome) for other in known):
        known.append(start)


def _start(text: str, recipe: Recipe | None, phase: Phase) -> Start | None:
    """Return what a search can read of a recipe as its start, None if that is nothing."""
    merger = phase.merger
    if recipe is None:
        genome = merger.space.init
    else:
        parts = [part for part in (recipe, inner(recipe)) if part and merger.reads(part)]
        if not parts:
            return None
        try:
            genome = merger.encode(parts[0])
        except ConfigError as error:
            raise ConfigError(f"the search cannot start from {text}: {error}") from error
    # A later search goes on from a merge that is not found yet.
    return Start(text, genome, None if phase.done else merger.recipe(genome).hash)


def _entries(given: Any) -> list[tuple[str, str, int]]:
    """Return kind, path and number of each entry."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ConfigError(f"start must be a list of {ENTRIES}, got {given!r}; set start")
    return [_entry(entry) for entry in given]


def _entry(given: Any) -> tuple[str, str, int]:
    if isinstance(given, str) and given in WORDS:
        return given, "", 1
    if isinstance(given, str):
        near = difflib.get_close_matches(given, WORDS, n=1)
        guess = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigError(f"start must hold some of {ENTRIES}, got {given!r}{guess}; set start")
    kinds = [kind for kind in KINDS if isinstance(given, Mapping) and kind in given]
    known = {*kinds, *(["best"] if kinds == ["journal"] else [])}
    if len(kinds) != 1 or set(given) != known & set(given):
        raise ConfigError(f"start must hold some of {ENTRIES}, got {given!r}; set start")
    path, best = given[kinds[0]], given.get("best", BEST)
    if not isinstance(path, str) or not path:
        raise ConfigError(f"{kinds[0]} must be a path, got {path!r}; set start")
    if isinstance(best, bool) or not isinstance(best, int) or best < 1:
        raise ConfigError(f"best must be a whole number from 1 on, got {best!r}; set start")
    return kinds[0], path, best


def _offers(
    entry: tuple[str, str, int], phase: Phase, seed: int
) -> Iterator[tuple[str, Recipe | None]]:
    """Yield the recipes of an entry with what they are; None for the middle of the space."""
    kind, path, best = entry
    pool = phase.merger.pool
    if kind == "soup":
        yield "the uniform soup", soup(pool)
    elif kind == "middle":
        yield "the middle of the space", None
    elif kind == "mergekit":
        yield f"the mergekit file {Path(path).name}", fixed(read(path), pool, seed)[0]
    elif kind == "recipe":
        recipe = _recipe(Path(path))
        yield f"the recipe {recipe.hash[:12]}", recipe
    else:
        with opened(Path(path)) as record:
            name = _name(record)
            if kind == "run":
                yield f"the winner of the run {name}", _winner(record)
            else:
                for place, recipe in enumerate(_best(record, phase, best), start=1):
                    yield f"number {place} of the search of the run {name}", recipe


def soup(pool: Pool) -> Recipe:
    """Return the mean of all sources but the base, with weights that sum to 1."""
    share = 1 / len(pool.sources)
    return Linear(pool).recipe_of({"all": {s.name: {"weight": share} for s in pool.sources}})


def _name(record: Record) -> str:
    """Return what a run is called: its folder, and its id if it has one."""
    folder = record.folder.resolve().name
    try:
        return f"{folder} ({record.meta('id')})"
    except KeyError:
        return folder


def _winner(record: Record) -> Recipe:
    won = [number for (name, _), number in record.roles().items() if name == WINNER]
    if not won:
        raise ConfigError(
            f"the run in {record.folder} has no winner yet; let it end, or start from the best "
            f"of its search with start=[{{journal: {record.folder}}}]"
        )
    return record.recipe(record.evaluation(won[0]).recipe)


def _best(record: Record, phase: Phase, count: int) -> list[Recipe]:
    """Return the best distinct candidates of a run's search: of the one that is most like this."""
    searches = {name: ranked(record, name) for name in record.stages()}
    found = {name: [record.recipe(key) for key in keys[:count]] for name, keys in searches.items()}
    found = {name: recipes for name, recipes in found.items() if recipes}
    if not found:
        raise ConfigError(f"no candidate was judged yet by the run in {record.folder}; set start")
    like = [name for name, recipes in found.items() if phase.merger.reads(recipes[0])]
    return found[phase.name if phase.name in like else [*found, *like][-1]]


def _recipe(path: Path) -> Recipe:
    """Read a recipe.json.

    Raises:
        ConfigError: it cannot be read, or holds none of this version.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; set start") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON ({error}); set start") from error
    if not isinstance(content, Mapping) or "method" not in content:
        raise ConfigError(f"{path} is no recipe of evoforge; set start")
    if content.get("format") != FORMAT:
        raise ConfigError(
            f"{path} has format {content.get('format')}, this evoforge reads {FORMAT}; set start"
        )
    if not _sound(content) or not _kept(content):
        raise ConfigError(f"{path} is damaged or incomplete; set start to another recipe")
    return Recipe(content)


def _sound(content: Mapping[str, Any]) -> bool:
    """Whether a recipe has all that is read of one."""
    if not _has(content, "sources", "options", "base") or not isinstance(content["sources"], list):
        return False
    base, options = content["base"], content["options"]
    refs = [*content["sources"], *([] if base is None else [base])]
    if not content["sources"] or not all(map(_is_ref, refs)) or not _has(options):
        return False
    if not isinstance(content.get("method"), str):
        return False
    if "path" in content:
        inside = [ref["recipe"] for ref in refs if "recipe" in ref]
        walked = isinstance(content["path"], list) and all(map(_is_hop, content["path"]))
        return walked and _has(options, "scale_target") and all(map(_sound, inside))
    values = content.get("values")
    groups = [_keys(group) for group in values.values()] if isinstance(values, Mapping) else []
    alike = bool(groups) and all(k is not None and k == groups[0] for k in groups)
    fine = isinstance(options.get("granularity"), str) and type(options.get("block_size")) is int
    return alike and fine and options["block_size"] >= 1


def _kept(content: Any) -> bool:
    """Whether JSON holds neither NaN nor halves of characters, which nothing else can read."""
    try:
        canonical(content).encode()
    except ValueError:
        return False
    return True


def _has(content: Any, *keys: str) -> bool:
    return isinstance(content, Mapping) and set(keys) <= set(content)


def _is_ref(content: Any) -> bool:
    """Whether something names a source and its weights."""
    return _has(content, "name", "hash") and all(
        isinstance(content[key], str) for key in ("name", "hash")
    )


def _is_hop(content: Any) -> bool:
    """Whether something is `[source, layer, scale]`."""
    return (
        isinstance(content, list)
        and len(content) == 3
        and (isinstance(content[0], str) and type(content[1]) is int and _is_number(content[2]))
    )


def _is_number(value: Any) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and abs(value) <= sys.float_info.max  # whole numbers may be larger than any float


def _keys(group: Any) -> dict[str, set[str]] | None:
    """Return the parameters of each source of a group; None if some are no numbers."""
    if not isinstance(group, Mapping):
        return None
    for column in group.values():
        if not isinstance(column, Mapping) or not all(map(_is_number, column.values())):
            return None
    return {source: set(column) for source, column in group.items()}
