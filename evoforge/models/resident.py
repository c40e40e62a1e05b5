"""Sources on the device that models live on, as many of their tensors as there is room for.

A merge on an accelerator is a pass over its memory; fetching a source from the host for every
candidate takes twenty times as long. On a CPU the sources are where they are needed.
"""

import torch

from evoforge.models.weights import Tensors

# Share of a device's memory that is left to the live model's work: activations and caches.
FREE = 0.25


class Resident:
    """Gives tensors of sources on a device; keeps those that fit."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, torch.device], torch.Tensor] = {}

    def tensor(
        self, source: str, tensors: Tensors, name: str, device: torch.device
    ) -> torch.Tensor:
        """Return a tensor of a source on a device.

        Args:
            source: what the source is called.
            tensors: its weights.
            name: of the tensor.
            device: where it is wanted.
        """
        if device.type == "cpu":
            return tensors[name]
        key = (source, name, device)
        if key in self._kept:
            return self._kept[key]
        moved = tensors[name].to(device)
        if room(device) > 0:
            self._kept[key] = moved
        return moved


def room(device: torch.device) -> int:
    """Return the bytes of a device that sources may still take."""
    if device.type != "cuda":
        return 0
    free, total = torch.cuda.mem_get_info(device)
    return int(free - FREE * total)
