"""What a machine can do: its memory and speed, known from its papers or measured in a second.

Knows numbers of machines; does not know models.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch

GIB = 1 << 30
# Bytes copied, and rows and columns multiplied, to measure.
COPIED = 1 << 26
SIDE = 1024
# A measurement is the best of so many.
TIMES = 5
# Of what a data sheet promises, what long runs of matrix products and copies reach.
REACHED = 0.45
MOVED = 0.75


@dataclass(frozen=True)
class Machine:
    """Speed and memory of where candidates are merged and answer.

    Args:
        name: as a table calls it.
        flops: operations a second of large matrix products, a product and a sum counting two.
        bandwidth: bytes a second, read or written, of the memory that weights lie in.
        bus: bytes a second from main memory to the device.
        call: seconds that a part of a model takes at least, however small it is.
        memory: bytes of main memory that are free.
        devices: bytes of each GPU that are free; none on a CPU.
        disk: bytes that are free where runs are written.
    """

    name: str
    flops: float
    bandwidth: float
    bus: float
    call: float
    memory: int
    devices: tuple[int, ...] = ()
    disk: int = 0


# Dense bfloat16 and memory of the makers' data sheets, less what is not reached.
KNOWN = {
    "A100 80 GB": Machine(
        name="A100 80 GB",
        flops=REACHED * 312e12,
        bandwidth=MOVED * 2.0e12,
        bus=MOVED * 32e9,
        call=8e-6,
        memory=1024 * GIB,
        devices=(80 * GIB,) * 8,
    ),
    "H100 80 GB": Machine(
        name="H100 80 GB",
        flops=REACHED * 989e12,
        bandwidth=MOVED * 3.35e12,
        bus=MOVED * 64e9,
        call=8e-6,
        memory=2048 * GIB,
        devices=(80 * GIB,) * 8,
    ),
}


@torch.inference_mode()
def probe(device: torch.device, dtype: torch.dtype, disk: int) -> Machine:
    """Measure this machine: some products and copies, about a second.

    Args:
        device: where candidates answer.
        dtype: of their weights.
        disk: bytes that are free where runs are written.
    """
    matrix = torch.ones(SIDE, SIDE, dtype=dtype, device=device)
    block = torch.ones(COPIED // 4, device=device)
    other = torch.empty_like(block)
    small, module = torch.ones(8, device=device), torch.nn.Linear(8, 8, device=device)
    host = torch.ones(COPIED // 4)
    seconds = _best(lambda: torch.mm(matrix, matrix), device)
    copied = _best(lambda: other.copy_(block), device)
    moved = _best(lambda: other.copy_(host), device)
    called = _best(lambda: [module(small) for _ in range(20)], device) / 20
    gpus = device.type == "cuda"
    found = [torch.cuda.mem_get_info(i)[0] for i in range(torch.cuda.device_count() if gpus else 0)]
    return Machine(
        name=torch.cuda.get_device_name(device) if gpus else "this CPU",
        flops=2 * SIDE**3 / seconds,
        bandwidth=2 * COPIED / copied,
        bus=COPIED / moved,
        call=called,
        memory=psutil.virtual_memory().available,
        devices=tuple(found),
        disk=disk,
    )


def _best(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of the quickest of some calls; the first is not counted."""
    found = []
    for _ in range(TIMES + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - start)
    return max(min(found[1:]), 1e-9)
