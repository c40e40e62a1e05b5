"""Write the page of a run: `python -m evoforge.report.html FOLDER [--out FILE]`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from evoforge.errors import EvoforgeError
from evoforge.opened import opened
from evoforge.report.html.run_page import write

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, also of a run that goes on; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evoforge.report.html", description=__doc__)
    parser.add_argument("folder", type=Path, help="a run folder")
    parser.add_argument("--out", type=Path, help="the file to write; default FOLDER/report.html")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        with opened(given.folder) as record:
            log.info("%s", write(record, given.out))
    except EvoforgeError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
