"""Markdown that shows texts as they stand, whoever wrote them."""

import re
from collections.abc import Sequence
from typing import Any

from evoforge.visible import visible


def escape(text: Any) -> str:
    """Return a text so that Markdown and HTML show it as it stands, on one line."""
    line = " ".join(visible(str(text)).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", line)


def code(text: str, kind: str = "") -> str:
    """Return a fenced block that its own text cannot close."""
    text = visible(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{text}\n{fence}"


def table(head: Sequence[str], body: Sequence[Sequence[str]], rule: str = "---:") -> str:
    """Return a table; `rule` is that of all columns but the first."""
    lines = [head, ["---"] + [rule] * (len(head) - 1), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def details(summary: str, text: str) -> str:
    """Return Markdown behind a line to click on."""
    # The empty lines let Markdown see what is inside the HTML.
    return f"<details>\n<summary>{summary}</summary>\n\n{text}\n\n</details>"
