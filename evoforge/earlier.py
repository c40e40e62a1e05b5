"""Options that runs of earlier versions did not have, and what they did then.

So a run of then goes on with the configuration of now, and stands beside a run of now.
"""

from collections.abc import Mapping
from typing import Any

_WHERE = {"device_map": None, "max_memory": None}
# `_target_` of a part, the empty one for the whole -> option -> what was done without it.
ADDED: Mapping[str, Mapping[str, Any]] = {
    "": {"preflight": False, "schedule": "generational", "start": []},
    "evoforge.evaluator.auto.auto": _WHERE,
    "evoforge.evaluator.hf.Hf": _WHERE,
    "evoforge.evaluator.lm_eval.LmEval": _WHERE,
    "evoforge.evaluator.vllm.Vllm": {
        **_WHERE,
        "tensor_parallel_size": 1,
        "pipeline_parallel_size": 1,
    },
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
    {'preflight': False, 'schedule': 'generational', 'start': [], 'seed': 1}
    """
    return {**ADDED[""], **{key: _node(value) for key, value in config.items()}}


def _node(content: Any) -> Any:
    if not isinstance(content, Mapping):
        return content
    own = ADDED.get(str(content.get("_target_")), {})
    return {**own, **{key: _node(value) for key, value in content.items()}}
