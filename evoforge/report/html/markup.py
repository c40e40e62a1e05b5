"""Pieces of HTML: what is no `Html` is text, and is escaped wherever it is put.

Knows HTML; does not know runs. Nothing here trusts a name, a question or an answer.
"""

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape as _escape
from typing import Any

from evoforge.visible import visible

KEY = re.compile(r"[a-z][a-z0-9_-]*")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Return anything as HTML that shows it; None as a dash, `Html` as it stands."""
    if isinstance(value, Html):
        return value
    return Html("–" if value is None else _escape(visible(str(value))))


def join(parts: Iterable[object], between: str = "\n") -> Html:
    """Return parts one after another."""
    return Html(between.join(escape(part) for part in parts))


def element(tag: str, content: object, **attributes: object) -> Html:
    """Return an element; `class_` is the attribute `class`, None leaves one out.

    >>> element("b", "1 < 2", class_="loud")
    '<b class="loud">1 &lt; 2</b>'
    """
    said = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_escape(visible(str(value)))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{tag}{said}>{escape(content)}</{tag}>")


def paragraph(content: object) -> Html:
    """Return a paragraph of faint text."""
    return element("p", content, class_="said")


def table(
    head: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Collection[int] = (),
    strong: Collection[int] = (),
) -> Html:
    """Return a table that scrolls sideways where it has no room.

    Args:
        head: names of the columns.
        rows: cells, as many as there are columns.
        numbers: the columns that are set flush right.
        strong: the rows that are set bold.
    """

    def cell(tag: str, column: int, content: object) -> Html:
        return element(tag, content, class_="number" if column in numbers else None)

    top = join((cell("th", column, name) for column, name in enumerate(head)), "")
    body = [
        element(
            "tr",
            join((cell("td", column, content) for column, content in enumerate(row)), ""),
            class_="strong" if number in strong else None,
        )
        for number, row in enumerate(rows)
    ]
    inner = join([element("thead", element("tr", top)), element("tbody", join(body))])
    return element("div", element("table", inner), class_="scroll", tabindex=0)


def tiles(found: Iterable[tuple[object, object, object]]) -> Html:
    """Return a row of numbers with a label above and a remark below each."""
    return element(
        "div",
        join(
            element(
                "div",
                join(
                    [element("small", label), element("strong", value), element("span", said)], ""
                ),
                class_="tile",
            )
            for label, value, said in found
        ),
        class_="tiles",
    )


def details(summary: object, content: object, *, is_open: bool = False) -> Html:
    """Return something that is folded away until it is asked for."""
    inner = join([element("summary", summary), content])
    return Html(f"<details{' open' if is_open else ''}>{inner}</details>")


def code(text: object) -> Html:
    """Return text as a program or a file has it."""
    return element("pre", element("code", str(text)), tabindex=0)


def grid(parts: Iterable[object]) -> Html:
    """Return parts side by side, as many as fit."""
    return element("div", join(parts), class_="grid")


def block(content: Any, **attributes: object) -> Html:
    """Return data for the page's scripts: an element that holds JSON and never runs.

    Numbers that JSON does not have (NaN, infinity) become null.
    """
    text = json.dumps(plain(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # No tag, and so no end of the element, can begin within.
    safe = Html(text.replace("<", "\\u003c"))
    return element("script", safe, type="application/json", **attributes)


def plain(content: Any) -> Any:
    """Return content as JSON can hold it: numpy's numbers as Python's, NaN and infinity as None."""
    if isinstance(content, Mapping):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    if hasattr(content, "tolist"):
        return plain(content.tolist())
    if isinstance(content, str):
        return visible(content)
    return None if isinstance(content, float) and not math.isfinite(content) else content


def data(name: str, rows: Sequence[Mapping[str, Any]]) -> Html:
    """Return rows that charts use by name (`{"data": {"name": ...}}`), as often as they like.

    Args:
        name: small letters, digits, `-` and `_`.
        rows: values by field, the same fields in each; fields are letters, digits and `_`, for
            Vega reads dots and brackets in them.

    Raises:
        ValueError: a name that cannot be used.
    """
    fields = list(rows[0]) if rows else []
    check(name, *fields)
    body = [[row[field] for field in fields] for row in rows]
    return block({"fields": fields, "rows": body}, class_="data", data_name=name)


def check(*names: str) -> None:
    """Raise ValueError for what is no plain name."""
    for name in names:
        if not KEY.fullmatch(name):
            raise ValueError(f"a name must be letters, digits, - and _, got {name!r}")
