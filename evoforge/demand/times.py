"""How long merging and answering take at most: bytes over bandwidth, products over their speed.

Estimates. Answers are counted as long as they may be, and most end earlier.
"""

from dataclasses import dataclass

from evoforge.demand.machine import Machine
from evoforge.demand.shape import Shape
from evoforge.demand.work import Asked, Setup, Work

# Parts that are called for one block in one pass, as long as they take by themselves.
CALLS = 50
# Of these, what vLLM's graphs leave.
GRAPHS = 0.1
# Of a GPU, what sources may take beside the live model.
RESIDENT = 0.75


@dataclass(frozen=True)
class Times:
    """Seconds.

    Args:
        merge: of one candidate.
        search: that one takes to answer the search's items.
        select: likewise the select items.
        test: likewise the test items.
        run: of the whole run by one worker after the other's jobs; None without a number of
            candidates.
    """

    merge: float
    search: float
    select: float
    test: float
    run: float | None


def times(shape: Shape, setup: Setup, work: Work, machine: Machine) -> Times:
    """Return what a run takes on a machine."""
    merge = merging(shape, setup, machine)
    found = [
        answering(shape, setup, asked, machine) for asked in (work.search, work.select, work.test)
    ]
    search, select, test = found
    run = None
    if work.candidates is not None:
        share = work.baseline_items / max(1, work.search.items)
        jobs = work.candidates * (merge + search)
        jobs += work.baselines * (merge + share * search) + work.finalists * (merge + select)
        jobs += (work.baselines + 1) * (2 * merge + select + test)
        run = jobs / setup.workers + merge + shape.bytes / machine.bus
    return Times(merge, search, select, test, run)


def merging(shape: Shape, setup: Setup, machine: Machine) -> float:
    """Return the seconds of one merge, if all groups have changed."""
    if not setup.merged:
        return 0.0
    read, written = sum(setup.stored), shape.bytes
    calls = shape.tensors * (10 + 5 * setup.merged) * machine.call
    if setup.element is not None:
        return setup.element * shape.weights + calls
    if setup.on_gpu and machine.devices:
        # What does not stay on the device is fetched for each candidate.
        room = max(0.0, RESIDENT * sum(machine.devices[: setup.gpus]) - shape.bytes)
        fetched = max(0.0, read - room)
        return (read + written) / machine.bandwidth + fetched / machine.bus + calls
    return (read + written) / machine.bandwidth + calls


def answering(shape: Shape, setup: Setup, asked: Asked, machine: Machine) -> float:
    """Return the seconds that one candidate takes to answer all items as long as it may."""
    if not asked.items:
        return 0.0
    depth = (setup.depth or shape.layers) / max(1, shape.layers)
    used = (shape.used - shape.in_layers) + shape.in_layers * depth
    layers = shape.layers * depth
    spread = setup.gpus if setup.engine == "vllm" else 1
    flops, bandwidth = machine.flops * spread, machine.bandwidth * spread
    called = layers * CALLS * machine.call * (GRAPHS if setup.engine == "vllm" else 1)
    passes = max(1.0, asked.items * asked.read / 1024)
    read = 2 * used * asked.items * asked.read / flops + passes * called
    rows = min(setup.batch, asked.items)
    steps = asked.written * asked.items / rows
    kept = rows * (asked.read + asked.written / 2) * shape.kept * layers * shape.itemsize
    step = max((used * shape.itemsize + kept) / bandwidth, 2 * used * rows / flops)
    return read + steps * (step + called)
