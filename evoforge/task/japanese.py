"""Japanese texts as the Japanese harness compares them; needs the extra `ja`."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from evoforge.errors import ConfigError

# Emoticons, pictographs, transport, flags, dingbats: taken out beside what emoji knows.
_PICTURES = re.compile(
    "[\U0001f600-\U0001f64f\U0001f300-\U0001f5ff\U0001f680-\U0001f6ff"
    "\U0001f1e0-\U0001f1ff\u2702-\u27b0]"
)


def normalise(text: str) -> str:
    """Return a text without emoji, in neologdn's one form of characters, white space folded.

    Raises:
        ConfigError: a package is missing.

    Reference:
        `normalize_answer` in Stability-AI/lm-evaluation-harness, branch jp-stable.
    """
    is_emoji, neologdn = _packages()
    kept = "".join(character for character in text if not is_emoji(character))
    return " ".join(neologdn(_PICTURES.sub("", kept)).split())


def words(text: str) -> list[str]:
    """Return the words of a text: MeCab's with unidic-lite, of the normalised text.

    Raises:
        ConfigError: a package is missing.
    """
    found: list[str] = _tagger().parse(normalise(text)).split()
    return found


@cache
def _packages() -> tuple[Callable[[str], bool], Callable[[str], str]]:
    try:
        import emoji
        import neologdn
    except ImportError as error:
        raise _missing("judging Japanese texts", error) from error
    return emoji.is_emoji, neologdn.normalize


@cache
def _tagger() -> Any:
    try:
        import fugashi
        import unidic_lite
    except ImportError as error:
        raise _missing("the mecab tokenizer", error) from error
    # Named outright: fugashi would take another dictionary where one is installed.
    return fugashi.Tagger(f'-Owakati -d "{unidic_lite.DICDIR}"')


def _missing(what: str, error: ImportError) -> ConfigError:
    return ConfigError(f"{what} needs a package more ({error}); pip install 'evoforge[ja]'")
