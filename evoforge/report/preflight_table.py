"""The pre-flight table: how the sources lie to each other, and whether the memory is enough."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evoforge.models.gguf import FEW_BITS
from evoforge.models.preflight import Preflight, SourceCheck


def table(found: Preflight) -> RenderableType:
    """Return the table of a pool, and a line about size and memory."""
    others = [row.name for row in found.rows if row.role != "base"]
    types = {", ".join(row.dtypes) for row in found.rows}
    mixed = len(types) > 1
    grid = Table(title="Sources", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    grid.pad_edge = grid.show_edge = False
    for name in ("source", *(["type"] if mixed else []), "licence"):
        grid.add_column(name)
    for name in ("task\nvector", "of\nbase", "signs\nagainst"):
        grid.add_column(name, justify="right")
    for name in others:
        grid.add_column(f"cosine\n{name}", justify="right", overflow="fold")
    for row in found.rows:
        grid.add_row(*_cells(row, others, mixed))
    size = f"{found.rows[0].parameters:,} weights each"
    line = size if mixed else f"{size}, {types.pop()}"
    return Group(grid, Text(f"{line}; ") + _memory(found), *_quantised(found), *_seen(found))


def _seen(found: Preflight) -> list[RenderableType]:
    """Return what is never merged, and in what the models of pictures and of text differ."""
    if not found.frozen:
        return []
    line = Text(f"{found.frozen:,} weights of vision tower and projector are kept as they are\n")
    if not found.differences:
        return [line]
    grid = Table(title="Seeing", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    grid.pad_edge = grid.show_edge = False
    for name in ("setting", "of the vision model", "of the text model", "chosen"):
        grid.add_column(name, overflow="fold")
    for row in found.differences:
        grid.add_row(row.what, row.vlm, row.llm, row.chosen)
    return [grid, line]


def _cells(row: SourceCheck, others: list[str], mixed: bool) -> list[str]:
    base = row.role == "base"
    name = f"{row.name} (base)" if base else row.name
    facts = [name, *([", ".join(row.dtypes)] if mixed else []), row.license or "unknown"]
    if base:
        return facts
    numbers = [f"{row.norm:.2f}", f"{row.relative:.1%}", f"{row.conflicts:.0%}"]
    cosines = [f"{row.cosines[o]:+.2f}" if o in row.cosines else "" for o in others]
    return facts + numbers + cosines


def _quantised(found: Preflight) -> list[Text]:
    """Return a warning about sources of few bits, if there are any."""
    few = [row for row in found.rows if row.bits is not None and row.bits < FEW_BITS]
    if not few:
        return []
    names = ", ".join(f"{row.name} ({row.bits:.1f})" for row in few)
    line = f"quantised to few bits a weight: {names}; such models merge poorly\n"
    return [Text(line, style="bold yellow")]


def _memory(found: Preflight) -> Text:
    needed, free = (size / (1 << 30) for size in (found.needed, found.available))
    line = f"memory: {needed:.1f} GiB needed, {free:.1f} GiB free\n"
    if found.needed <= found.available:
        return Text(line)
    advice = "the memory does not hold all weights: they will be read from disk again and again"
    return Text(f"{line}{advice}\n", style="bold yellow")
