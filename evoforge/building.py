"""Makes objects of configuration nodes, and of nothing that a node has no business to name.

The constructors are the schema: an option is whatever a class's `__init__` takes, and its
annotation says what may be given. A file from elsewhere may name classes of the kinds that a run is
made of, of any package, and cannot call anything else.
"""

import copy
import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from evoforge.errors import ConfigError
from evoforge.targets import kind_of, loaded
from evoforge.visible import one_line

PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
TARGET = "_target_"
# Characters of a value that a sentence repeats.
LONGEST = 100


def build(node: Mapping[str, Any], option: str, **runtime: Any) -> Any:
    """Make the object of a configuration node.

    Args:
        node: `_target_`, and the constructor's options.
        option: the node's name as the user types it, such as `merge`; its first part is the kind.
        runtime: objects that do not come from YAML.

    Raises:
        ConfigError: the node names something else than a class of its kind, or an option is
            unknown, missing, of the wrong type, or refused by the constructor.
    """
    return _bound(node, option, kind_of(option), tuple(runtime))(**runtime)


def shown(value: Any) -> str:
    """Return a value as a sentence repeats it."""
    return one_line(repr(value), LONGEST)


def guess(word: str, known: Sequence[str]) -> str:
    """Return the question whether something else was meant; nothing if nothing is near."""
    near = difflib.get_close_matches(word, [name for name in known if name != word], n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _bound(node: Any, option: str, kind: type, runtime: Sequence[str] | None) -> Callable[..., Any]:
    """Return what makes an object, with its options checked and everything inside made.

    Args:
        node: `_target_`, and the constructor's options.
        option: its name, for errors.
        kind: what the object must be.
        runtime: the names of what is given later; None if somebody else knows them.
    """
    called = loaded(node, option, kind)
    hints = get_type_hints(called.__init__ if inspect.isclass(called) else called)
    parameters = inspect.signature(called).parameters
    known = [p.name for p in parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    options = {}
    for key, value in node.items():
        if key == TARGET:
            continue
        if key not in known or key in (runtime or ()):
            raise ConfigError(
                f"{option} has no option {key}{guess(str(key), known)}; it has {', '.join(known)}"
            )
        options[key] = _made(value, hints[key], key, option)
    _check_complete(parameters, option, options, runtime)
    return partial(called, **options)


def _check_complete(
    parameters: Mapping[str, inspect.Parameter],
    option: str,
    options: Mapping[str, Any],
    runtime: Sequence[str] | None,
) -> None:
    """Refuse a node that lacks an option, or names a class that takes other objects."""
    if stranger := [name for name in runtime or () if name not in parameters]:
        raise ConfigError(f"{option} names a class that takes no {stranger[0]}; choose another")
    for name, parameter in parameters.items():
        needed = parameter.default is inspect.Parameter.empty
        by_name = parameter.kind is inspect.Parameter.KEYWORD_ONLY
        by_place = parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        wanted = by_name or (by_place and runtime is not None)
        if needed and wanted and name not in options and name not in (runtime or ()):
            raise ConfigError(f"{option} has no {name}; set {option}.{name}")


def _made(value: Any, hint: Any, key: str, option: str) -> Any:
    """Return the value of an option, with objects in the place of nodes."""
    if isinstance(value, Mapping) and TARGET in value:
        kind = _kind(hint)
        if kind is None:
            raise ConfigError(f"{option}.{key} takes no object; take out its {TARGET}")
        later = _is_maker(hint)
        made = _bound(value, f"{option}.{key}", kind, None if later else ())
        return made if later else made()
    if isinstance(value, Mapping) and _holds_makers(hint):
        return {n: _maker(n, inner, hint, key, option) for n, inner in value.items()}
    if wanted := _mismatch(value, hint):
        raise ConfigError(f"{key} must be {wanted}, got {shown(value)}; set {option}.{key}")
    if _names_targets(value):
        raise ConfigError(f"{option}.{key} takes no objects; take out every {TARGET}")
    return copy.deepcopy(value)  # constructors keep what they are given


def _maker(name: str, value: Any, hint: Any, key: str, option: str) -> Callable[..., Any]:
    if not isinstance(value, Mapping) or TARGET not in value:
        raise ConfigError(
            f"{key}.{name} must be an option with its settings, got {shown(value)}; "
            f"set {option}.{key}"
        )
    return _bound(value, f"{option}.{key}.{name}", get_args(get_args(hint)[1])[-1], None)


def _is_maker(hint: Any) -> bool:
    """Whether a constructor makes the object itself: `ps: Callable[..., Merger]`."""
    return get_origin(hint) is Callable


def _holds_makers(hint: Any) -> bool:
    return get_origin(hint) is Mapping and get_origin(get_args(hint)[1]) is Callable


def _kind(hint: Any) -> type | None:
    """Return the kind of object that an option takes, by its annotation; None for plain values."""
    if _is_maker(hint):
        hint = get_args(hint)[-1]
    if get_origin(hint) in (Union, UnionType):
        return next(filter(None, map(_kind, get_args(hint))), None)
    plain = (*PLAIN, NoneType)
    return hint if inspect.isclass(hint) and hint not in plain and not get_origin(hint) else None


def _names_targets(value: Any) -> bool:
    if isinstance(value, Mapping):
        return TARGET in value or any(map(_names_targets, value.values()))
    return isinstance(value, list | tuple) and any(map(_names_targets, value))


def _mismatch(value: Any, hint: Any) -> str | None:
    """Return what a value must be instead, or None if it fits its annotation."""
    origin, inside = get_origin(hint), get_args(hint)
    if hint is Any:
        return None
    if origin in (Union, UnionType):
        found = [_mismatch(value, each) for each in inside]
        return None if None in found else " or ".join(filter(None, found))
    if origin is Literal:
        # 1 and true are equal.
        fits = any(type(value) is type(each) and value == each for each in inside)
        return None if fits else f"one of {', '.join(map(str, inside))}"
    if hint is NoneType:
        return None if value is None else "null"
    if hint is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        return None if fits else PLAIN[float]
    if hint is int:
        fits = isinstance(value, int) and not isinstance(value, bool)
        return None if fits else PLAIN[int]
    if hint in PLAIN:
        return None if isinstance(value, hint) else PLAIN[hint]
    if origin is Callable or _kind(hint):
        return f"a mapping with {TARGET}"
    if origin is not None and issubclass(origin, Mapping):
        return None if isinstance(value, Mapping) else "a mapping"
    if origin is not None and issubclass(origin, Sequence):
        if isinstance(value, str) or not isinstance(value, Sequence):
            return "a list"
        wrong = [wanted for each in value if (wanted := _mismatch(each, inside[0]))]
        return f"a list, each {wrong[0]}" if wrong else None
    return None
