"""Makes the model of any candidate of a run, exactly as it was scored.

    python -m evoforge.pick outputs/2026-11-23/10-00-00
    python -m evoforge.pick outputs/2026-11-23/10-00-00 knee
    python -m evoforge.pick outputs/2026-11-23/10-00-00 search/3/4 --to my-model

Without a name it says the names there are: the winner is `best`; the members of a front are
`best-GOAL`, `knee` and `front-N`. Any candidate is `stage/generation/position`, counted from 0.
"""

import argparse
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evoforge import session
from evoforge.assembly import assemble
from evoforge.errors import ConfigError, EvoforgeError, JournalError
from evoforge.export import export
from evoforge.materials import check_sources
from evoforge.merge.base import Mergers
from evoforge.opened import opened
from evoforge.record import WINNER, Record
from evoforge.report import card, result
from evoforge.report.front import BEST
from evoforge.report.front_table import front_table
from evoforge.rounding import rounding
from evoforge.start import recorded
from evoforge.terminal import Terminal

log = logging.getLogger(__name__)

FOLDER = "picked"
# Of a generation, or of a position in it.
NUMBER = re.compile(r"[0-9]{1,9}")


def names(record: Record) -> dict[str, str]:
    """Return the recipes that have a name in this run: name -> hash."""
    found = {}
    if (number := record.roles().get((WINNER, "select"))) is not None:
        found[BEST] = record.evaluation(number).recipe
    front = result.build(record)["front"]
    for member in [] if front is None else front["members"]:
        found |= dict.fromkeys(member["names"], member["recipe"])
    return found


def recipe_of(record: Record, name: str) -> str:
    """Return the hash of the recipe of a name, or of a candidate.

    Args:
        record: of the run.
        name: one of `names`, or `stage/generation/position`.

    Raises:
        ConfigError: there is no such name or candidate, or it failed.
    """
    known = names(record)
    if name in known:
        return known[name]
    stage, *rest = name.rsplit("/", 2)
    if stage in record.stages() and len(rest) == 2 and all(map(NUMBER.fullmatch, rest)):
        generation, position = map(int, rest)
        asked = record.generation(stage, generation)
        if position < len(asked):
            _check(record, asked[position].evaluation, name)
            return asked[position].recipe
        raise ConfigError(
            f"generation {generation} of {stage} has {len(asked)} candidates, so there is no {name}"
        )
    raise ConfigError(
        f"{record.folder} has no {name}; its names are {', '.join(known) or '(none yet)'}, and any "
        f"candidate of {', '.join(record.stages())} is STAGE/GENERATION/POSITION"
    )


def _check(record: Record, number: int | None, name: str) -> None:
    """Refuse what nobody knows, and what failed."""
    if number is None:
        raise ConfigError(f"{name} was not scored yet; go on with resume={record.folder}")
    evaluation = record.evaluation(number)
    if evaluation.status == "failed":
        raise ConfigError(f"{name} failed, so there is no model of it: {evaluation.reason}")


def pick(record: Record, name: str, folder: Path | None = None) -> Path:
    """Write the model of a name as a run writes its winner; return its folder.

    Args:
        record: of the run.
        name: see `recipe_of`.
        folder: where; None for `picked/NAME` in the run folder.

    Raises:
        ConfigError: there is no such name, or the folder holds something else.
        JournalError: the sources have changed since the run began, or nothing can be written.
        MergeError: the model cannot be made as it was scored.
    """
    recipe = record.recipe(recipe_of(record, name))
    if folder is not None:
        _check_new(folder)
    target = record.folder / FOLDER / name.replace("/", "-") if folder is None else folder
    parts = assemble(_config(record), recorded(result.fact(record, "starts") or {}))
    try:
        check_sources(parts.pool, record)
        candidate = Mergers(parts.pool).build(recipe)
        lost = rounding(candidate, parts.pool)
        found = {**result.instead(record, recipe.hash), "rounding": lost}
        probe = parts.task.items("select")[: session.PROBE]
        export(
            candidate,
            recipe,
            parts.pool,
            target,
            card=_card(record, found, name),
            rounding=lost,
            scored=lambda: parts.evaluator.logits(candidate, probe),
            written=lambda written: parts.evaluator.logits_of(written, probe),
        )
    except JournalError as error:
        # There is no run to go on with.
        text = re.sub(r"; free the disk .*$", "; free the disk or set --to", str(error))
        raise JournalError(text) from error
    finally:
        parts.executor.close()
        parts.evaluator.close()
    return target


def _check_new(folder: Path) -> None:
    """Refuse a place that holds something already."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; set --to to a new folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty; set --to to a new folder")


def _config(record: Record) -> dict[str, Any]:
    """Return what the run was configured with, less its trackers.

    Raises:
        JournalError: it was made by hand, without a configuration.
    """
    found = result.fact(record, "config")
    if not isinstance(found, dict) or "merge" not in found:
        raise JournalError(f"{record.folder} does not say how it was configured")
    return {**found, "tracker": {}}


def _card(record: Record, found: Mapping[str, Any], name: str) -> str:
    """Return the model card; it says so if the model is not the winner."""
    text = card.card(record, found)
    if found["winner"]["test"] is not None:
        return text
    # The examples show what the winner answered.
    before, _, after = text.partition("\n## Examples\n")
    text = before + after[after.find("\n## Recipe") :] if after else text
    head, title, rest = text.partition("\n# ")
    line, _, body = rest.partition("\n")
    said = (
        f"\nThis model is `{name}` of its run, not the winner. It was not scored on the test "
        "items: its scores below are those that it was chosen by, and too good.\n"
    )
    return f"{head}{title}{line}\n{said}{body}"


def main(arguments: Sequence[str] | None = None) -> int:
    """List the names of a run, or make the model of one; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evoforge.pick", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER")
    parser.add_argument("name", nargs="?", help="which model; without it the names are listed")
    parser.add_argument("--to", type=Path, metavar="DIR", help="by default RUN_FOLDER/picked/NAME")
    given = parser.parse_args(arguments)
    try:
        with opened(given.folder) as record:
            if given.name is None:
                _list(record)
            else:
                log.info("wrote %s", pick(record, given.name, given.to))
    except EvoforgeError as error:
        log.error("%s", error)
        return 2 if isinstance(error, ConfigError) else 1
    return 0


def _list(record: Record) -> None:
    """Print the names of a run, and the front if it has one."""
    console = Terminal()
    for part in front_table(result.build(record)["front"], str(record.folder)):
        console.print(part)
    known = names(record)
    console.print(f"names: {', '.join(known) or '(none yet)'}", soft_wrap=True, markup=False)
    stages = ", ".join(record.stages())
    console.print(
        f"candidates: STAGE/GENERATION/POSITION of {stages}", soft_wrap=True, markup=False
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.exit(main())
