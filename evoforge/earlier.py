"""Options that runs of earlier versions did not have, and what they did then.

So a run of then goes on with the configuration of now, and stands beside a run of now.
"""

from collections.abc import Mapping
from typing import Any

# `_target_` of a part, the empty one for the whole -> option -> what was done without it.
ADDED: Mapping[str, Mapping[str, Any]] = {
    "": {"start": []},
    "evoforge.optimizer.cma_es.CmaEs": {
        "active": True,
        "bounds": "transform",
        "restarts": "none",
        "patience": None,
    },
}


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the options that it is too old to have.

    >>> completed({"seed": 1})
    {'start': [], 'seed': 1}
    """
    return {**ADDED[""], **{key: _node(value) for key, value in config.items()}}


def _node(content: Any) -> Any:
    if not isinstance(content, Mapping):
        return content
    own = ADDED.get(str(content.get("_target_")), {})
    return {**own, **{key: _node(value) for key, value in content.items()}}
