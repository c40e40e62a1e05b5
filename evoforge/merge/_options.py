"""Errors of mergers that hold other mergers, in the words of the command line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from evoforge.errors import ConfigError


@contextmanager
def options_of(part: str) -> Iterator[None]:
    """Name the options of an inner merger as they are typed: `merge.ps.density`."""
    try:
        yield
    except ConfigError as error:
        text = re.sub(r"\bmerge\.(?=\w)", f"merge.{part}.", str(error))
        raise type(error)(text) from error
