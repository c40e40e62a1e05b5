"""What a machine has for workers: cores, and GPUs by the names that CUDA gives them."""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from evoforge.errors import ConfigError

# What a container may use, in microseconds of a period: `200000 100000` are two cores.
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """Return how many cores this process may use, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    found = len(affinity(0)) if affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = QUOTA.read_text().split()
        if quota != "max":
            found = min(found, math.ceil(int(quota) / int(period)))
    return max(1, found)


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(i) for i in range(count)] if given is None else given.split(",")
    return [name.strip() for name in names][:count]


def chosen_gpus(devices: Sequence[int | str] | None) -> list[str]:
    """Return the GPUs that `executor.devices` names; None names all.

    Raises:
        ConfigError: one is not there.
    """
    there = visible_gpus()
    if devices is None:
        return there
    wanted = [str(device) for device in devices]
    for name in wanted:
        # CUDA takes the beginnings of GPU-... and MIG-... too, which only CUDA can check.
        if name not in there and not name.startswith(("GPU-", "MIG-")):
            raise ConfigError(
                f"devices must be among the GPUs of this machine ({', '.join(there) or 'none'}), "
                f"got {name}; set executor.devices"
            )
    return wanted


def threads_environment(threads: int) -> dict[str, str]:
    """Return the variables that give a process so many threads, to be set before it computes.

    So results do not depend on how many workers there are: sums are rounded in another order by
    another number of threads.
    """
    return {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}


def check_least(option: str, value: float | None, least: float) -> None:
    """Refuse a number that is too small; None stands for one found later.

    Raises:
        ConfigError: it is.
    """
    if value is not None and not value >= least:
        raise ConfigError(f"{option} must be at least {least}, got {value}; set executor.{option}")


def check_above_zero(option: str, value: float | None) -> None:
    """Refuse a number that is not above 0; None stands for none.

    Raises:
        ConfigError: it is not.
    """
    if value is not None and not value > 0:
        raise ConfigError(f"{option} must be above 0, got {value}; set executor.{option}")
