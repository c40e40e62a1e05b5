"""Which classes a configuration may name: those of the kind that is wanted.

Whatever has a name can be called by it, and a configuration may come from someone else. So a name
leads to a class of the kind, or to a function whose annotation says that it returns one; the module
that holds it is imported, and nothing in it is called before that is known.
"""

import inspect
import sys
from collections.abc import Mapping
from importlib import import_module
from pkgutil import resolve_name
from typing import Any, Protocol, get_type_hints

from evoforge.errors import ConfigError
from evoforge.visible import one_line

# A part of a run -> the class that its objects are of.
KINDS: Mapping[str, str] = {
    "models": "evoforge.models.pool.Pool",
    "merge": "evoforge.merge.base.Merger",
    "task": "evoforge.task.base.Task",
    "fitness": "evoforge.fitness.base.Fitness",
    "evaluator": "evoforge.evaluator.base.Evaluator",
    "optimizer": "evoforge.optimizer.base.Optimizer",
    "executor": "evoforge.executor.base.Executor",
    "tracker": "evoforge.tracker.base.Tracker",
    "budget": "evoforge.stage.Budget",
}


def kind_of(option: str) -> type:
    """Return what the object of a part must be.

    Args:
        option: `merge`, or `tracker.wandb`.
    """
    module, _, name = KINDS[option.partition(".")[0]].rpartition(".")
    kind: type = getattr(import_module(module), name)
    return kind


def loaded(node: Any, option: str, kind: type) -> Any:
    """Return the class or function that a node names.

    Args:
        node: a mapping with `_target_`.
        option: its name, for errors.
        kind: what it must make.

    Raises:
        ConfigError: it is no mapping, or names nothing of the kind.
    """
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        raise ConfigError(
            f"{option} must be an option with its settings and a _target_, got "
            f"{one_line(repr(node), 100)}; choose one with {option}=NAME, see --help"
        )
    target = node["_target_"]
    if target.partition(".")[0] in sys.stdlib_module_names:
        raise _refused(option, target, kind)  # some of them do something when they are imported
    try:
        found = resolve_name(target)
    except (ImportError, ValueError, AttributeError, TypeError, SyntaxError) as error:
        reason = (str(error).splitlines() or ["no such name"])[0]
        raise ConfigError(f"{option} names {target}, which cannot be loaded: {reason}") from error
    if not _makes(found, kind):
        raise _refused(option, target, kind)
    return found


def _refused(option: str, target: str, kind: type) -> ConfigError:
    name = kind.__name__
    return ConfigError(
        f"{option} names {target}, which is no {name}; set {option}._target_ to a class that is "
        f"derived from {kind.__module__}.{name}, or to a function that is annotated to return one"
    )


def _makes(found: Any, kind: type) -> bool:
    """Whether something is a class of a kind that can be made, or a function that returns one."""
    if inspect.isfunction(found):
        try:
            given = get_type_hints(found).get("return")
        except (NameError, TypeError, AttributeError):  # an annotation that nobody can read
            return False
        return inspect.isclass(given) and _is(given, kind)
    return inspect.isclass(found) and _is(found, kind) and not inspect.isabstract(found)


def _is(found: type, kind: type) -> bool:
    if Protocol not in kind.__bases__:
        return issubclass(found, kind)
    # A protocol asks for methods, whatever the class is called.
    wanted = [name for name in vars(kind) if not name.startswith("_")]
    return found is not kind and all(callable(getattr(found, name, None)) for name in wanted)
