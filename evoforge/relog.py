"""Logs runs again in Weights & Biases from their journals.

    python -m evoforge.relog outputs/2026-11-23/10-00-00
    python -m evoforge.relog outputs/2026-11-23/* --project merges --mode online

For runs that were made without W&B, were killed, or lost the network. A run keeps its W&B id, so
it takes the place of what is there already.
"""

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evoforge.errors import ConfigError, EvoforgeError
from evoforge.opened import opened
from evoforge.record import Record
from evoforge.tracker.wandb import Wandb

log = logging.getLogger(__name__)

KEPT = ("project", "entity", "group", "name", "tags", "max_genes", "examples")
PATIENCE = 300.0  # seconds; nothing waits for this but its user


def relog(record: Record, given: Mapping[str, Any]) -> None:
    """Log one run again.

    Args:
        record: the run, finished or not.
        given: options of `Wandb` that go before those that the run was made with.
    """
    tracker = Wandb(**{**_options(record), **given}, timeout=PATIENCE)
    tracker.start(record)
    tracker.finish("finished" if record.finished else "interrupted", _result(record.folder))


def main(arguments: Sequence[str] | None = None) -> int:
    """Log the named runs again; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evoforge.relog", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUN_FOLDER")
    parser.add_argument("--project", help="W&B project; by default the run's own")
    parser.add_argument("--entity", help="W&B user or team; by default the run's own")
    parser.add_argument("--mode", choices=("online", "offline"), help="by default as it can")
    wanted = vars(parser.parse_args(arguments))
    folders: list[Path] = wanted.pop("folders")
    given = {name: value for name, value in wanted.items() if value is not None}
    try:
        # All are opened before one is logged: a mistyped folder is told at once.
        for folder in folders:
            Record.open(folder).close()
        for folder in folders:
            with opened(folder) as record:
                relog(record, given)
            log.info("logged %s again", folder)
    except EvoforgeError as error:
        log.error("%s", error)
        return 2 if isinstance(error, ConfigError) else 1
    return 0


def _options(record: Record) -> dict[str, Any]:
    """Return the options of W&B that the run was made with, as far as they are known."""
    try:
        config = json.loads(record.meta("config"))
        made_with = config["tracker"]["wandb"]
    except (KeyError, TypeError, ValueError):
        return {}
    return {name: made_with[name] for name in KEPT if name in made_with}


def _result(folder: Path) -> dict[str, Any] | None:
    try:
        content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.exit(main())
