"""The text of a mergekit file, and the YAML in it; does not know what a merge is."""

from pathlib import Path
from typing import Any

from evoforge.errors import ConfigError
from evoforge.plain_yaml import documents


def text_of(path: str | Path) -> str:
    """Return the text of a file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return Path(path).expanduser().read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read {path}: it is no text; give a mergekit file") from error
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read {path}: {reason}; give a mergekit file") from error


def documents_of(text: str) -> list[Any]:
    """Return the documents of a text.

    Raises:
        ConfigError: it is no YAML.
    """
    return documents(text)
