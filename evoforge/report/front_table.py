"""The front of a run as a table: its members by name, with what each goal came to."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

# Shares, shown as percent where all of a column are.
COUNTS = ("tokens", "hops")


def front_table(front: Mapping[str, Any] | None, folder: str) -> list[RenderableType]:
    """Return the members and how to pick one; nothing for a run without a front.

    Args:
        front: as in `result.json`.
        folder: of the run, as it is to be typed.
    """
    if front is None:
        return []
    table = Table(
        title=Text(f"The front (means over the {front['part']} items)", style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        show_edge=False,
    )
    table.add_column("names", overflow="fold")
    for name, way in front["objectives"].items():
        table.add_column(Text(f"{name} ({way})"), justify="right")
    table.add_column("candidate", no_wrap=True)
    shares = {name for name in front["objectives"] if _share(front, name)}
    for member in front["members"]:
        cells = [
            Text(f"{100 * value:.1f} %" if name in shares else f"{value:.4g}")
            for name, value in member["values"].items()
        ]
        asked = member["candidate"] or "recommended"
        table.add_row(Text(", ".join(member["names"])), *cells, Text(asked))
    said = f"Any of them is made by: python -m evoforge.pick {folder} NAME"
    return [table, Text(said), Text()]


def _share(front: Mapping[str, Any], name: str) -> bool:
    found = [member["values"][name] for member in front["members"]]
    return name not in COUNTS and all(0 <= value <= 1 for value in found)
