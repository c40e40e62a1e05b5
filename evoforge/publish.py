"""Publishes the model of a run on the Hugging Face Hub, with its card and its recipe.

    python -m evoforge.publish outputs/2026-11-23/10-00-00 --to user/name --dry-run
    python -m evoforge.publish outputs/2026-11-23/10-00-00 --to user/name
    python -m evoforge.publish outputs/2026-11-23/10-00-00 --to user/name --model knee --public

A new repository is private unless you say --public. Nothing that is there is changed unless you
say --yes, or answer so. The token comes from HF_TOKEN or `hf auth login`. After a break, give the
same command again.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from evoforge.errors import ConfigError, EvoforgeError, HubError
from evoforge.hub.client import MAIN
from evoforge.hub.plan import Plan, plan
from evoforge.hub.pushing import Publication, Wish, publication, refusal
from evoforge.opened import opened
from evoforge.pick import FOLDER, recipe_of
from evoforge.record import Record
from evoforge.report.front import BEST
from evoforge.terminal import Terminal

log = logging.getLogger(__name__)

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def main(arguments: Sequence[str] | None = None) -> int:
    """Publish a model, or say what would be published; return the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.offline and not given.dry_run:
        parser.error("--offline goes with --dry-run")
    try:
        with opened(given.folder) as record:
            ready = _ready(record, given)
            if given.dry_run:
                _show(ready, Terminal(), offline=given.offline)
            else:
                log.info("%s", ready.send(lambda doing: given.yes or _agree(given.to, doing)))
    except EvoforgeError as error:
        log.error("%s", error)
        return 2 if isinstance(error, ConfigError) else 1
    except OSError as error:
        log.error("cannot read %s: %s", error.filename or given.folder, error.strerror or error)
        return 2
    except KeyboardInterrupt:
        log.error("stopped; give the same command again: what has arrived is not sent again")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evoforge.publish", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER")
    parser.add_argument("--to", required=True, metavar="USER/NAME", help="where on the hub")
    parser.add_argument("--model", default=BEST, help="a name of evoforge.pick; by default best")
    parser.add_argument("--revision", default=MAIN, metavar="BRANCH", help="by default main")
    seen = parser.add_mutually_exclusive_group()
    seen.add_argument("--public", action="store_false", dest="private", help="everybody can see it")
    seen.add_argument("--private", action="store_true", help="the default for a new repository")
    parser.set_defaults(private=None)
    parser.add_argument("--license", metavar="ID", help="for the card, if a source's is not known")
    parser.add_argument("--dry-run", action="store_true", help="say what would go, send nothing")
    parser.add_argument("--offline", action="store_true", help="with --dry-run: ask no hub")
    parser.add_argument("--yes", action="store_true", help="change what is in the repository")
    return parser


def _ready(record: Record, given: argparse.Namespace) -> Publication:
    """Return the model that was asked for, checked."""
    recipe = recipe_of(record, given.model)
    folder = record.folder / "model"
    if given.model != BEST:
        folder = record.folder / FOLDER / given.model.replace("/", "-")
        if not folder.is_dir():
            raise ConfigError(
                f"there is no model of {given.model} yet; make it by "
                f"python -m evoforge.pick {record.folder} {given.model}"
            )
    wish = Wish(given.to, given.revision, given.private, given.license)
    return publication(record, recipe, folder, wish)


def _agree(repo: str, doing: Plan) -> bool:
    """Ask on a terminal; elsewhere nobody agrees."""
    if not sys.stdin.isatty():
        return False
    question = Text(f"{refusal(repo, doing).partition(';')[0]}. Go on?")
    return Confirm.ask(question, default=False)


def _show(ready: Publication, console: Console, *, offline: bool) -> None:
    """Print every file with its size and what would be done with it."""
    found, doing, said = None, plan(ready.files, ()), "the hub was not asked"
    if not offline:
        try:
            found, doing = ready.look()
            said = _state(ready, exists=found is not None)
        except HubError as error:
            said = f"the hub was not asked: {error}"
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("file", overflow="fold")
    table.add_column("size", justify="right")
    for what, name, size in doing.lines():
        table.add_row(what, Text(name), _bytes(size))
    console.print(table)
    total = _bytes(sum(file.size for file in doing.to_send))
    console.print(
        f"{len(doing.to_send)} files, {total} would go to {ready.hub.url}; {said}",
        soft_wrap=True,
        markup=False,
    )
    if doing.asks:
        console.print(refusal(ready.wish.to, doing), soft_wrap=True, markup=False)


def _state(ready: Publication, *, exists: bool) -> str:
    if exists:
        return "the repository exists"
    kind = "public" if ready.wish.private is False else "private"
    return f"a {kind} repository would be made (none is there that you can see)"


def _bytes(count: int) -> str:
    """Return a size in words.

    >>> _bytes(12), _bytes(3 << 29)
    ('12 B', '1.5 GiB')
    """
    size, unit = float(count), 0
    while size >= 1024 and unit < len(UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{size:.1f} {UNITS[unit]}"


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.exit(main())
