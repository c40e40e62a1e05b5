"""Finds secrets in texts: what the environment keeps secret, and what looks like a key.

Runs are shown, sent and published, and so are their journals. Knows how keys look; does not know
where texts come from.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

HIDDEN = "[redacted]"

# A tokenizer is no token, tokens are counted, and a keyword is no key.
NAME = re.compile(r"token(?!iz|s)|secret|passw(?:or)?d|credential|key(?!word|s)", re.IGNORECASE)
PATTERNS = (
    r"\bhf_[A-Za-z0-9]{16,}",
    r"\bwandb_v\d_\w{16,}",
    r"\bgh[pousr]_\w{16,}",
    r"\bgithub_pat_\w{16,}",
    r"\bsk-[\w-]{16,}",
    r"\bglpat-[\w-]{16,}",
    r"\bxox[abprs]-[\w-]{10,}",
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"\bAIza[\w-]{30,}",
    r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)",  # user:password@host
)
VALUE = re.compile("|".join(PATTERNS))
# Of variables, which are written in parts: MONKEY and KEYBOARD_LAYOUT are none.
VARIABLE = re.compile(
    r"(?:^|_)(?:TOKENS?|SECRETS?|KEYS?|APIKEY|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)(?:_|$)",
    re.IGNORECASE,
)
# W&B's older keys look like git commits, which pin the sources and must stay readable.
HEX = re.compile(r"\b[0-9a-f]{40}\b")
COMMIT = re.compile(r"revision|commit|sha|hash", re.IGNORECASE)
# Characters: `KEY=on` is no secret, and its value stands in every second sentence.
SHORTEST = 8


def environment() -> dict[str, str]:
    """Return the secrets in the environment, by the names of the variables."""
    return {
        name: value
        for name, value in os.environ.items()
        if VARIABLE.search(name)
        and len(value) >= SHORTEST
        and not value.startswith(("/", "~", "."))
    }


def clean(text: str) -> str:
    """Return a text without the secrets of the environment, and without what looks like one."""
    # The longest first, for one may be a part of another.
    for value in sorted(environment().values(), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return VALUE.sub(HIDDEN, text)


def redact(content: Any, name: str = "") -> Any:
    """Return a JSON value without its secrets.

    Args:
        content: mappings, lists and plain values.
        name: the key under which the value stands.
    """
    if isinstance(content, Mapping):
        return {key: redact(value, str(key)) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [redact(value, name) for value in content]
    if not isinstance(content, str):
        return content  # max_new_tokens: 256 is a number and no secret
    if content and NAME.search(name):
        return HIDDEN
    content = clean(content)
    return content if COMMIT.search(name) else HEX.sub(HIDDEN, content)


def secrets(content: Any) -> Iterator[tuple[str, str]]:
    """Yield which options hold a secret, and what kind of one; never the secret.

    Args:
        content: mappings, lists and plain values.
    """
    known = environment()
    for name, text in _texts(content, ""):
        if kind := _kind(text, name.rpartition(".")[2], known):
            yield name, kind


def _texts(content: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield all texts, keys too, with the name of the option that they are in."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield name, str(key)
            yield from _texts(value, f"{name}.{key}" if name else str(key))
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _texts(value, name)
    elif isinstance(content, str):
        yield name, content


def _kind(text: str, key: str, known: Mapping[str, str]) -> str | None:
    for variable, value in known.items():
        if value in text:
            return f"the value of {variable}"
    if VALUE.search(text):
        return "what looks like a key or a password"
    if text and NAME.search(key):
        return "what its name calls a secret"
    whole = HEX.fullmatch(text.strip()) and not COMMIT.search(key)
    return "what looks like a key of W&B" if whole else None
