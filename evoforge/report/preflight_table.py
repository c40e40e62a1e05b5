"""Pre-flight: how the sources lie to each other, and what a run would need."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evoforge.demand.machine import GIB, Machine
from evoforge.demand.needs import MOST, PHASES, SIZES, disk, gib, on_gpus, parts, total
from evoforge.demand.prospect import Prospect, advice
from evoforge.demand.shape import Shape
from evoforge.demand.times import times
from evoforge.demand.work import Setup, Work
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


def outlook(found: Prospect) -> RenderableType:
    """Return what a run would need, as tables and lines for a terminal."""
    shape, setup, work, machine = found.shape, found.setup, found.work, found.machine
    return Group(
        Text("What this run would need: estimates, from names and shapes alone", style="bold"),
        Text(_what(found) + "\n"),
        _places(found),
        Text(f"sources, mapped from files and not counted: {gib(sum(setup.stored))}\n"),
        _seconds(found),
        Text(f"{_speed(machine)}; answers are counted as long as they may be\n"),
        Text(_disk(found)),
        Text(f"{_on_gpus(shape, setup, work, machine)}\n"),
        *(Text(f"advice: {line}\n", style="bold yellow") for line in advice(found)),
    )


def _what(found: Prospect) -> str:
    shape, work, setup = found.shape, found.work, found.setup
    depth = setup.depth or shape.layers
    layers = f"{shape.layers} layers" + (f", paths of up to {depth}" * (depth != shape.layers))
    asked = work.search
    count = "as many candidates as time allows" if work.candidates is None else None
    count = count or f"{work.candidates} candidates"
    return (
        f"{shape.weights:,} weights in {layers}, {gib(shape.bytes)}; {len(setup.stored)} sources; "
        f"{found.genes} genes\n"
        f"{count} and {work.baselines} baselines; a candidate answers {asked.items} items, of "
        f"{asked.read:.0f} tokens to read and up to {asked.written:.0f} to write"
    )


def _places(found: Prospect) -> Table:
    """Return a row for each thing that takes memory, and the sum of each place."""
    grid = Table(title="Memory", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    grid.pad_edge = grid.show_edge = False
    grid.add_column("of one process")
    grid.add_column("where")
    for phase in PHASES:
        grid.add_column(phase, justify="right")
    every = parts(found.shape, found.setup, found.work)
    names = {"memory": "main memory", "gpu": "GPU"}
    for part in every:
        if part.place in names:
            cells = [gib(part.size) if phase in part.phases else "" for phase in PHASES]
            grid.add_row(part.what, names[part.place], *cells)
    for place, name in names.items():
        if any(part.place == place for part in every):
            sums = [gib(total(every, place, phase)) for phase in PHASES]
            grid.add_row("together", name, *sums, style="bold")
    workers = found.setup.workers
    if workers > 1:
        grid.add_row(f"of {workers} workers", names["memory"], "", gib(found.memory), "")
    free = [gib(found.machine.memory)]
    grid.add_row("free", names["memory"], *free, "", "")
    for number, size in enumerate(found.machine.devices):
        grid.add_row("free", f"GPU {number}", gib(size), "", "")
    return grid


def _seconds(found: Prospect) -> Table:
    took = times(found.shape, found.setup, found.work, found.machine)
    grid = Table(title="Time, at most", title_justify="left", title_style="bold")
    grid.box, grid.pad_edge, grid.show_edge = box.SIMPLE_HEAD, False, False
    for name in ("merge", "search items", "select items", "test items", "whole run"):
        grid.add_column(name, justify="right")
    each = (took.merge, took.search, took.select, took.test)
    whole = "open" if took.run is None else duration(took.run)
    grid.add_row(*map(duration, each), whole)
    return grid


def _speed(machine: Machine) -> str:
    return (
        f"{machine.name}: {machine.flops / 1e9:,.0f} GFLOP/s and {machine.bandwidth / 1e9:,.0f} "
        "GB/s, measured now"
    )


def _disk(found: Prospect) -> str:
    written = disk(found.shape, found.setup, found.work)
    told = ", ".join(f"{what} {gib(size)}" for what, size in written.items())
    return f"disk: {told}; {gib(found.machine.disk)} free"


def _on_gpus(shape: Shape, setup: Setup, work: Work, machine: Machine) -> str:
    """Return how many GPUs of common sizes hold one candidate."""
    told = []
    for size in SIZES:
        count = on_gpus(shape, setup, work, size * GIB)
        told.append(f"{size} GiB: {'more than ' + str(MOST) if count is None else count}")
    there = f"{len(machine.devices)} here" if machine.devices else "none here"
    return f"GPUs that hold one candidate, of {', '.join(told)}; {there}"


def duration(seconds: float) -> str:
    """Return seconds for people."""
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
