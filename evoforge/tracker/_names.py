"""What a W&B run is called, grouped, tagged and filtered by: short words from its configuration.

Knows plain configurations and command lines; does not know W&B.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evoforge.recipe import digest

LONGEST_TAG = 64  # W&B refuses longer ones
LONGEST_NAME = 100  # and cuts names at 128
DEEPEST = 3  # levels of the configuration below `options`; W&B advises against more dots in a key
NOUNS = ("merge", "task", "optimizer")
# Options that a name has already, or that do not change what a run finds.
SILENT = (
    *("merge", "task", "optimizer", "seed", "sweep", "sweep_name", "experiment"),
    *("tracker", "hydra", "executor", "data_dir", "examples", "baseline_items", "resume"),
    "push_to_hub",
)


def choice(config: Mapping[str, Any], noun: str) -> str:
    """Return the name of what was chosen: a node's own name, or its class's module."""
    node = config.get(noun)
    if not isinstance(node, Mapping):
        return ""
    parts = str(node.get("_target_", "")).split(".")
    return str(node.get("name") or (parts[-2] if len(parts) > 1 else ""))


def tags(names: Sequence[Any]) -> list[str]:
    """Return tags that W&B takes, each once."""
    return list(dict.fromkeys(str(name)[:LONGEST_TAG] for name in names if name))


def variant(config: Mapping[str, Any], overrides: Sequence[str], folder: Path) -> str:
    """Return what tells a run from others but for its seed: merge, task, optimizer, and changes.

    Args:
        config: of the run.
        overrides: what was given on the command line.
        folder: the run's; a sweep names it after what it varies.
    """
    chosen = [name for noun in NOUNS if (name := choice(config, noun))]
    found = "-".join([*chosen, *changes(overrides, folder.name)])
    if len(found) <= LONGEST_NAME:
        return found
    return f"{found[:LONGEST_NAME]}-{digest(found)[:6]}"


def changes(overrides: Sequence[str], folder: str) -> list[str]:
    """Return what a run was given beside its choices, such as `population=6`."""
    named = folder.split(",")
    if all("=" in each for each in named):
        return [each for each in named if each.partition("=")[0] not in SILENT]
    found = []
    for override in overrides:
        name, sign, value = override.lstrip("+~").partition("=")
        root, *rest = name.split(".")
        # `optimizer=genetic` is in the name; `optimizer.population=6` is not.
        silent = root.startswith("-") or root in SILENT
        if sign and not (silent and not (rest and root in NOUNS)):
            found.append(f"{name.rpartition('.')[2]}={value}")
    return found


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tables and parallel coordinates of runs are made of: plain values by short name.

    Those of a merge of two searches are its first one's.
    """
    merge, optimizer = _node(config, "merge"), _node(config, "optimizer")
    sources = _node(config, "models").get("sources")
    names = [str(name) for name in sources] if isinstance(sources, Mapping) else []
    found = {
        **{noun: choice(config, noun) for noun in (*NOUNS, "fitness", "evaluator")},
        "models": " + ".join(names),
        "population": optimizer.get("population"),
        "sigma": optimizer.get("sigma"),
        "granularity": merge.get("granularity") or _node(merge, "ps").get("granularity"),
        "budget": _node(config, "budget").get("evaluations"),
        "minutes": _node(config, "budget").get("minutes"),
        "seed": config.get("seed"),
        "sweep": config.get("sweep_name"),
    }
    plain = (str, int, float)
    return {key: value for key, value in found.items() if isinstance(value, plain) and value != ""}


def shallow(content: Any, levels: int = DEEPEST) -> Any:
    """Return a configuration in which mappings below a depth are JSON text."""
    if not isinstance(content, Mapping):
        return content
    if not levels:
        return json.dumps(content, ensure_ascii=False)
    return {key: shallow(value, levels - 1) for key, value in content.items()}


def _node(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    node = config.get(key)
    return node if isinstance(node, Mapping) else {}
