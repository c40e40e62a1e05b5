"""Settings of text models side by side: each by its own name, also those of rotary embeddings.

A model's language part and a plain text model have settings of different classes, which share most
of their names. Only what both have can differ.
"""

from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from typing import Any

ROPE = "rope_parameters"
KIND = "rope_type"
# What kind of settings they are, and what is only looked at while a model is trained.
OF_KIND = {"model_type", "initializer_range", "attention_dropout", "max_window_layers"}


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with those of rotary embeddings beside the others.

    >>> flat({"hidden_size": 8, "rope_parameters": {"rope_theta": 1e4}})
    {'hidden_size': 8, 'rope_theta': 10000.0}
    """
    found = {key: value for key, value in config.items() if key != ROPE}
    for key, value in (config.get(ROPE) or {}).items():
        # Some have them for each kind of attention.
        inner = value.items() if isinstance(value, Mapping) else None
        found |= {key: value} if inner is None else {f"{key}.{name}": v for name, v in inner}
    return found


def common_differences(
    mine: Mapping[str, Any], other: Mapping[str, Any], free: Collection[str]
) -> Iterator[tuple[str, Any, Any]]:
    """Give the settings in which models of different kinds differ: name, mine, the other's.

    Args:
        mine: settings, as of config.json.
        other: likewise.
        free: names that may differ.
    """
    first, second = flat(mine), flat(other)
    for name in sorted((first.keys() & second.keys()) - OF_KIND - set(free)):
        if first[name] != second[name]:
            yield name, first[name], second[name]


def adapt(config: Any, settings: Mapping[str, Any]) -> None:
    """Give a model's configuration the settings in which a candidate differs.

    Args:
        config: a transformers configuration, of a text model or of one that sees pictures, whose
            language part is meant; changed.
        settings: by their names.
    """
    for key, value in settings.items():
        setattr(config.get_text_config(), key, value)
        # Some settings of the language part are the whole model's too, and must not contradict.
        if key in vars(config):
            setattr(config, key, value)


def adopt(config: Any, giver: Mapping[str, Any], names: Collection[str]) -> None:
    """Give a model's configuration some settings of another.

    Args:
        config: a transformers configuration of a text model; changed.
        giver: settings, as of config.json.
        names: as `flat` has them.
    """
    rope = deepcopy(getattr(config, ROPE, None) or {})
    values, mine = flat(giver), flat({ROPE: rope})
    # Another kind of rotary embeddings comes with what belongs to it alone.
    kinds = {name.removesuffix(KIND) for name in names if name.endswith(KIND)}
    alone = [
        name
        for name in flat({ROPE: giver.get(ROPE)})
        if name not in mine and name[: name.rfind(".") + 1] in kinds
    ]
    for name in [*alone, *names]:
        part, _, inner = name.rpartition(".")
        if name in mine or name in alone:
            (rope[part] if part else rope)[inner] = deepcopy(values[name])
        else:
            setattr(config, name, deepcopy(values[name]))
    if rope:
        setattr(config, ROPE, rope)
