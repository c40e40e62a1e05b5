"""Looks at YAML before it is read: aliases that multiply, depth, and values that are no data.

A few lines of aliases of aliases stand for more values than any memory holds (a "billion laughs").
Knows YAML; does not know what a file is for.
"""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from evoforge.errors import ConfigError

# Values that a text may stand for with its aliases put in, and levels of them. The largest
# experiment of this package has some hundred values.
MOST = 200_000
DEEPEST = 60
# Brackets, which may stand in texts too.
MOST_OPEN = 500
PLAIN_TAG = "tag:yaml.org,2002:"
MEANINGS = {"null", "bool", "int", "float", "timestamp", "str", "seq", "map", "merge", "value"}
MEANINGS |= {"binary", "omap", "pairs", "set"}


def documents(text: str) -> list[Any]:
    """Return the documents of a text as plain values.

    Raises:
        ConfigError: it is no YAML, or more than a file of options can be.
    """
    _check_brackets(text)
    try:
        for document in yaml.compose_all(text, Loader=yaml.SafeLoader):
            _check(document)
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise ConfigError(f"it is no YAML ({' '.join(str(error).split())})") from error
    except RecursionError as error:
        raise ConfigError("it is nested too deeply") from error
    except (ValueError, LookupError, ArithmeticError, AttributeError, TypeError) as error:
        # A value that is none of what it is said to be: 2001-99-99, !!int abc, !!bool abc.
        raise ConfigError(f"it has a value that is no YAML ({error})") from error


def _check_brackets(text: str) -> None:
    """Refuse thousands of brackets that are never closed, over which the library takes minutes."""
    depth = 0
    for sign in re.findall(r"[\[\]{}]", text):
        depth = max(0, depth + (1 if sign in "[{" else -1))
        if depth > MOST_OPEN:
            raise ConfigError("it is nested too deeply")


def _check(document: Any) -> None:
    if document is None:
        return
    if (count := _count(document, {}, ())) > MOST:
        raise ConfigError(
            f"its aliases stand for {_said(count)} values, more than {MOST:,}; write fewer"
        )


def _said(count: int) -> str:
    return f"{count:,}" if count < 10**15 else f"10^{len(str(count)) - 1}"


def _count(node: yaml.Node, known: dict[int, int], above: Sequence[int]) -> int:
    """Return how many values a node stands for, counting what an alias names each time."""
    kind = node.tag.removeprefix(PLAIN_TAG)
    if kind == node.tag or kind not in MEANINGS:
        raise ConfigError(f"it asks for {node.tag}, which is no plain value; leave it out")
    if id(node) in above:
        raise ConfigError("it holds an alias of what the alias is in; leave it out")
    if len(above) > DEEPEST:
        raise ConfigError(f"it is nested more than {DEEPEST} levels deep")
    if id(node) not in known:
        inside = [*above, id(node)]
        known[id(node)] = 1 + sum(_count(inner, known, inside) for inner in _inner(node))
    return known[id(node)]


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
