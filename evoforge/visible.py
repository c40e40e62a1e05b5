"""Texts of others as they can be shown: nothing in them moves the cursor or turns the line round.

A model, a file or a name may hold the escapes of a terminal and marks that turn the direction of
writing. They are shown as they are written in Python. Knows texts, and nothing of who shows them.
"""

import re

# Controls, halves of characters, and marks of direction (Boucher 2021, Trojan Source, 2111.00169).
HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u061c\u2028\u2029\u202a-\u202e"
    r"\u2066-\u2069\ufeff]"
)
LONGEST = 1000


def visible(text: str) -> str:
    r"""Return a text with its controls written out; line ends and tabs stay.

    >>> visible("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return HIDDEN.sub(_written, text.replace("\r\n", "\n"))


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return a text on one line, without its middle if it is long.

    Args:
        text: of any kind.
        longest: characters.
    """
    line = " ".join(visible(text).split())
    if len(line) <= longest:
        return line
    half = (longest - 5) // 2
    return f"{line[:half]} ... {line[-half:]}"


def _written(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]
