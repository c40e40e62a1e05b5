"""What tells configurations apart: the few settings that differ, under short names.

Knows nested mappings; does not know what the settings mean.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

# Dotted key -> a number, text, truth value, list of these, or None.
Settings = dict[str, Any]
# Where a run was kept, watched and computed says nothing of what it found.
IGNORED = (
    *("hydra", "resume", "sweep", "sweep_name", "tracker", "executor", "data_dir", "examples"),
    "push_to_hub",
)
TARGET = "_target_"
SEED = "seed"


def flatten(config: Mapping[str, Any], prefix: str = "") -> Settings:
    """Return a configuration with dotted keys; lists of plain values stay one setting.

    >>> flatten({"merge": {"weight": 1, "of": ["a", "b"]}})
    {'merge.weight': 1, 'merge.of': '["a", "b"]'}
    """
    found: Settings = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if not prefix and key in IGNORED:
            continue
        # An option of a later version that is left empty is no difference from its being unknown.
        if value == []:
            continue
        if isinstance(value, list):
            if not any(isinstance(entry, Mapping | list) for entry in value):
                found[name] = json.dumps(value, ensure_ascii=False)
                continue
            value = {str(index): entry for index, entry in enumerate(value)}
        found |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def differences(settings: Sequence[Settings]) -> list[Settings]:
    """Return for each configuration the settings that are not the same in all.

    A part that is another thing altogether (another `_target_`) is one difference, not one for
    each of its options. Configurations without any setting, as of a run that never started, do
    not count and get None.
    """
    kept = _kept([own for own in settings if own])
    short = _short(kept)
    return [{short[key]: _value(key, own.get(key)) for key in kept} for own in settings]


def implied(settings: Sequence[Settings]) -> set[str]:
    """Return the short names of those differences that follow from what their part is.

    Such as the population that each optimizer has by default, where nothing else was tried.
    """
    known = [own for own in settings if own]
    kept = _kept(known)
    short, found = _short(kept), set()
    for target in filter(_is_target, kept):
        for key in kept:
            if key != target and key.startswith(target.removesuffix(TARGET)):
                pairs = {(json.dumps(own.get(target)), json.dumps(own.get(key))) for own in known}
                found |= {short[key]} if len(pairs) == len({one for one, _ in pairs}) else set()
    return found


def _kept(known: Sequence[Settings]) -> list[str]:
    """Return the keys of the settings that differ, the seed last."""
    keys = list(dict.fromkeys(key for own in known for key in own))
    differ = [key for key in keys if len({json.dumps(own.get(key)) for own in known}) > 1]
    differ = [key for key in differ if not _follows_seed(key, known)]
    swapped = [key.removesuffix(TARGET) for key in differ if _is_target(key)]
    # Options that only some of the things have follow from which thing it is.
    kept = [key for key in differ if _varies(key, known) or not _inside(key, swapped)]
    # Last, so that runs that differ in their seed alone stand together.
    return sorted(kept, key=lambda key: key == SEED)


def _follows_seed(key: str, known: Sequence[Settings]) -> bool:
    """Whether a setting is the run's seed handed on, as to the optimizer."""
    # Not every run has every option: a path has no masks to seed.
    having = [own for own in known if key in own]
    return key.endswith(f".{SEED}") and all(own[key] == own.get(SEED) for own in having)


def _varies(key: str, known: Sequence[Settings]) -> bool:
    """Whether all have a setting, or those that have it differ in it."""
    values = [json.dumps(own[key]) for own in known if key in own]
    return len(values) == len(known) or len(set(values)) > 1


def _inside(key: str, prefixes: Sequence[str]) -> bool:
    own = key.removesuffix(TARGET)
    return any(own.startswith(prefix) and own != prefix for prefix in prefixes)


def _is_target(key: str) -> bool:
    return key == TARGET or key.endswith(f".{TARGET}")


def _value(key: str, value: Any) -> Any:
    """Return a setting as the user types it: the option `cma_es`, not its class."""
    return str(value).split(".")[-2:][0] if _is_target(key) and value is not None else value


def _short(keys: Sequence[str]) -> dict[str, str]:
    """Return the shortest ends of keys that tell them apart; a target is named by its part."""
    plain = {key: key.removesuffix(f".{TARGET}") for key in keys}
    found: dict[str, str] = {}
    for key, name in plain.items():
        pieces = name.split(".")
        ends = [".".join(pieces[start:]) for start in range(len(pieces) - 1, -1, -1)]
        others = [other for other in plain.values() if other != name]
        found[key] = next(
            (end for end in ends if not any(f".{o}".endswith(f".{end}") for o in others)), name
        )
    return found
