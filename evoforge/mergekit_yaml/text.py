"""The text of a mergekit file, and the YAML in it; does not know what a merge is."""

from pathlib import Path
from typing import Any

import yaml

from evoforge.errors import ConfigError


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
    try:
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise ConfigError(f"it is no YAML ({' '.join(str(error).split())})") from error
    except RecursionError as error:
        raise ConfigError("it is nested too deeply") from error
    except (ValueError, LookupError, ArithmeticError, AttributeError, TypeError) as error:
        # A value that is none of what it is said to be: 2001-99-99, !!int abc, !!bool abc.
        raise ConfigError(f"it has a value that is no YAML ({error})") from error
