"""A run that has not begun: all that is known of it, whether it fits, and what to set if not."""

from dataclasses import dataclass, replace

from evoforge.demand.machine import Machine
from evoforge.demand.needs import disk, gib, on_gpus, parts, peak
from evoforge.demand.shape import Shape
from evoforge.demand.work import Setup, Work

# Batches are not made smaller than this by advice.
SMALL = 8


@dataclass(frozen=True)
class Prospect:
    """All that is known of a run that has not begun.

    Args:
        shape: of a merged model.
        setup: how candidates are merged and answer.
        work: what is to be done.
        machine: this one, measured.
        genes: numbers that are searched, of all searches.
    """

    shape: Shape
    setup: Setup
    work: Work
    machine: Machine
    genes: int

    @property
    def memory(self) -> int:
        """Bytes of main memory that all processes take; pages of files are not counted."""
        return peak(parts(self.shape, self.setup, self.work), "memory") * self.setup.workers

    @property
    def gpus(self) -> int | None:
        """How many of this machine's GPUs one candidate takes; None where they do not hold it."""
        there = self.machine.devices
        if not there:
            return None
        found = on_gpus(self.shape, self.setup, self.work, min(there))
        return found if found is not None and found <= len(there) else None

    @property
    def disk(self) -> int:
        """Bytes that the run writes."""
        return sum(disk(self.shape, self.setup, self.work).values())


def advice(found: Prospect) -> list[str]:
    """Return what to set so that a run fits, or is quicker; nothing where it does as it is."""
    said = []
    setup, machine = found.setup, found.machine
    if found.memory > machine.memory:
        said.append(
            f"{gib(found.memory)} of main memory are needed and {gib(machine.memory)} are free: "
            f"{_less_memory(found)}"
        )
    elif sum(setup.stored) + found.memory > machine.memory and not setup.on_gpu:
        said.append(
            "the sources do not stay in memory beside that, so merges read them from disk again: "
            "take a machine with more memory, or fewer sources"
        )
    if setup.on_gpu and machine.devices:
        said += _for_gpus(found)
    if found.disk > machine.disk:
        said.append(
            f"{gib(found.disk)} are written and {gib(machine.disk)} are free: set hydra.run.dir to "
            "a folder on a larger disk, and HF_HOME where weights are to be fetched"
        )
    return said


def _less_memory(found: Prospect) -> str:
    setup = found.setup
    if setup.workers > 1:
        return "set executor.workers to fewer"
    if (batch := _batch(found)) is not None:
        return f"set evaluator.batch_size={batch}"
    return (
        "set evaluator.device_map=auto, which keeps on disk what memory does not hold, or take "
        "models.dtype=bfloat16, smaller sources, or a machine with more"
    )


def _batch(found: Prospect) -> int | None:
    """Return the largest batch of some with which the run fits; None where none does."""
    batch = found.setup.batch // 2
    while batch >= SMALL:
        less = replace(found, setup=replace(found.setup, batch=batch))
        fits = less.gpus is not None or not found.setup.on_gpu
        if less.memory <= found.machine.memory and fits:
            return batch
        batch //= 2
    return None


def _for_gpus(found: Prospect) -> list[str]:
    setup, machine = found.setup, found.machine
    needed, there = found.gpus, len(machine.devices)
    if needed is None:
        batch = _batch(found)
        return [
            f"{there} GPUs of {gib(min(machine.devices))} do not hold a candidate: set "
            + (f"evaluator.batch_size={batch}, or " if batch else "")
            + "evaluator.device_map=auto, which keeps in main memory what they do not hold"
        ]
    if needed > 1 and setup.engine == "vllm" and setup.gpus < needed:
        return [f"set evaluator.tensor_parallel_size={needed} and evaluator.device=cpu"]
    if needed > 1 and setup.engine == "hf" and not setup.spread:
        return ["one GPU does not hold a candidate: set evaluator.device_map=balanced"]
    if there // needed > 1 and setup.workers == 1:
        return [
            f"{there // needed} candidates can be evaluated at a time: set executor=processes, "
            "or executor=ray"
        ]
    return []
