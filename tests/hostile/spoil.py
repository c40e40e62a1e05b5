"""Texts and JSON that someone got wrong, or made to do harm, drawn from a seed."""

import copy
import json
import math

from evoforge.errors import EvoforgeError

VALUES = (
    *(None, True, False, 0, -1, 1, 3, 2**40, 2**63, 10**400, -(2**70), 0.5, -0.5, 1e308, math.nan),
    *(
        math.inf,
        -math.inf,
        "",
        " ",
        "abc",
        "日本語",
        "a\x00b",
        "\x1b[31mred",
        "\u202eabc",
        "x" * 5000,
    ),
    *("../../x", "/etc/passwd", "<script>", "\ud800", "float32", [], {}, [None], [[]], [0], [1, 2]),
    *(["a", "b"], [[1, [2]]], {"a": 1}, {"": {}}, {"a": {"b": [1]}}, [{}], [1e308, math.nan]),
)


def _places(content, above=()):
    keys = content if isinstance(content, dict) else range(len(content))
    for key in keys:
        yield (*above, key)
        if isinstance(content[key], dict | list):
            yield from _places(content[key], (*above, key))


def spoiled(content, draw):
    """Return a copy of JSON with one or two things changed, taken out or added."""
    content = copy.deepcopy(content)
    for _ in range(draw.choice((1, 1, 2))):
        *above, last = draw.choice(list(_places(content)) or [("a",)])
        holder = content
        for key in above:
            holder = holder[key]
        kind = draw.random()
        if kind < 0.15 and holder:
            del holder[last]
        elif kind < 0.25 and isinstance(holder, dict):
            holder[draw.choice(("unknown", "", "a b", "é"))] = draw.choice(VALUES)
        else:
            holder[last] = copy.deepcopy(draw.choice(VALUES))
    return content


def torn(text, draw):
    """Return bytes of a text that is cut, has bytes of something else, or too much of something."""
    content = bytearray(text.encode("utf-8", "surrogatepass"))
    kind = draw.randrange(6)
    place = draw.randrange(len(content))
    if kind == 0:
        del content[place:]
    elif kind == 1:
        content[place] = draw.randrange(256)
    elif kind == 2:
        content[place:place] = draw.choice((b"\xff\xfe", b"\x00", b"\xef\xbb\xbf", b"[" * 5000))
    elif kind == 3:
        content = bytearray(b"[" * 100_000)
    elif kind == 4:
        content = bytearray(draw.choice((b"", b"null", b"3", b"[]", b'"a"', b"{}", b"\xff\xfe")))
    else:
        content = bytearray(text.encode("utf-16"))
    return bytes(content)


def text_of(content):
    """Return JSON as Python writes it, with NaN, and with halves of characters as escapes."""
    return json.dumps(content)


def sentence(do):
    """Return the one sentence that something ends in; None if nothing is wrong."""
    try:
        do()
    except EvoforgeError as error:
        said = str(error)
        assert said.isprintable()
        assert 10 < len(said) <= 1000
        return said
    return None
