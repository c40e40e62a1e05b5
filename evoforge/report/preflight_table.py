"""The pre-flight table: how the sources lie to each other, and whether the memory is enough."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evoforge.models.preflight import Preflight, SourceCheck


def table(found: Preflight) -> RenderableType:
    """Return the table of a pool, and a line about memory."""
    grid = Table(title="Sources", title_justify="left", title_style="bold")
    for name in ("source", "role", "parameters", "type", "licence"):
        grid.add_column(name)
    for name in ("task vector", "of base", "sign conflicts"):
        grid.add_column(name, justify="right")
    grid.add_column("cosine to the others")
    for row in found.rows:
        grid.add_row(*_cells(row))
    return Group(grid, _memory(found))


def _cells(row: SourceCheck) -> tuple[str, ...]:
    facts = (
        row.name,
        row.role,
        f"{row.parameters:,}",
        ", ".join(row.dtypes),
        row.license or "unknown",
    )
    if row.role == "base":
        return (*facts, "", "", "", "")
    cosines = "  ".join(f"{name} {value:+.2f}" for name, value in row.cosines.items())
    numbers = (f"{row.norm:.2f}", f"{row.relative:.1%}", f"{row.conflicts:.0%}")
    return (*facts, *numbers, cosines)


def _memory(found: Preflight) -> Text:
    needed, free = (size / (1 << 30) for size in (found.needed, found.available))
    line = f"memory: {needed:.1f} GiB needed, {free:.1f} GiB free"
    if found.needed <= found.available:
        return Text(line, style="dim")
    advice = "; weights that do not fit are read from disk again and again"
    return Text(line + advice, style="bold yellow")
