"""How messages are written to the terminal and into `run.log`: without controls and secrets."""

import logging

from evoforge.secrets import clean
from evoforge.visible import visible


class Plain(logging.Formatter):
    """Formats a message, and the traceback below it, for anyone to see."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return visible(clean(super().format(record)))
