"""A protocol in words: its name, its prompt, and what the search did otherwise.

Knows the settings that tasks write down; does not know tasks.
"""

from collections.abc import Mapping
from typing import Any

Protocol = Mapping[str, Any]
SHORT = 12  # characters of a hash that people compare
PROMPTS = {"published": "the published prompt", "own": "own prompt"}


def name(protocol: Protocol) -> str:
    """Return a protocol's name: the task's, and what it goes by.

    >>> name({"task": "mgsm_ja", "protocol": "sakana", "prompt_is": "published"})
    'mgsm_ja (sakana, the published prompt)'
    """
    title = str(protocol.get("name") or protocol.get("task") or "unnamed")
    details = ", ".join(_details(protocol))
    return f"{title} ({details})" if details else title


def mark(protocol: Protocol, *, search: bool = False) -> str:
    """Return what stands at the edge of a picture: what the scores were judged by, in short.

    >>> mark({"task": "mgsm_ja", "protocol": "sakana", "hash": "0123456789abcdef"})
    'mgsm_ja, sakana, 0123456789ab'

    Args:
        protocol: of the run.
        search: whether the scores are those of the search, which may be judged otherwise.
    """
    key = (protocol.get("search_hash") if search else None) or protocol.get("hash") or ""
    found = [protocol.get("task"), protocol.get("protocol"), str(key)[:SHORT]]
    return ", ".join(str(part) for part in found if part)


def _details(protocol: Protocol) -> list[str]:
    found = [str(protocol["protocol"])] if protocol.get("protocol") else []
    changed = protocol.get("protocol_changed") or ()
    if changed:
        found.append(f"but with other {' and '.join(map(str, changed))}")
    prompt = PROMPTS.get(str(protocol.get("prompt_is")))
    return [*found, prompt] if prompt else found


def parts(protocol: Protocol) -> list[str]:
    """Return what the tasks of a suite go by, those that go by the same together."""
    groups: dict[str, list[str]] = {}
    for key, task in tasks(protocol).items():
        if not tasks(task):
            groups.setdefault(", ".join(_details(task)), []).append(key)
    return [
        f"{', '.join(keys)} ({details})" if details else ", ".join(keys)
        for details, keys in groups.items()
    ]


def tasks(protocol: Protocol, prefix: str = "") -> dict[str, Protocol]:
    """Return the tasks of a suite by name, those of suites in it as `SUITE/TASK`; else nothing."""
    found: dict[str, Protocol] = {}
    inner = protocol.get("tasks")
    for key, settings in (inner if isinstance(inner, Mapping) else {}).items():
        if isinstance(settings, Mapping):
            found[f"{prefix}{key}"] = settings
            found |= tasks(settings, f"{prefix}{key}/")
    return found


def early(protocol: Protocol) -> str | None:
    """Return a sentence if the search was judged otherwise than reports are."""
    if not protocol.get("search_hash") or protocol["search_hash"] == protocol.get("hash"):
        return None
    stops = protocol.get("search")
    if not stops:
        return "The search judged answers by other settings than reports do."
    said = ", ".join(f"{key} {value}" for key, value in _flat(stops).items())
    return f"The search stopped answers early ({said}); reports do not."


def _flat(stops: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in stops.items():
        inner = isinstance(value, Mapping)
        found |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return found


def capped(protocol: Protocol) -> list[str]:
    """Return what the ids of items begin with whose answers must be as short as the gold ones."""
    own = [""] if protocol.get("gold_length_plus") is not None else []
    inner = tasks(protocol).items()
    return own + [f"{k}/" for k, task in inner if task.get("gold_length_plus") is not None]
