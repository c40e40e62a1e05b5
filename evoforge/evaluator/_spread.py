"""Where the parts of a live model lie: all on one device, or spread over several.

A part is computed where its weights lie, and what it is given follows it there; so candidates are
merged into each part in its place, and layers may follow each other in any order. Knows modules
and devices; does not know what is written into them.
"""

import logging
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from evoforge.errors import ConfigError
from evoforge.evaluator._plain import device_of
from evoforge.models.resident import FREE

log = logging.getLogger(__name__)

KINDS = ("auto", "balanced")
# Weights in a file that is mapped: more of them than memory, read again for each pass.
DISK = "disk"
# Modules that are only lists of others, which nobody calls.
LISTS = (nn.ModuleList, nn.ModuleDict)
DeviceMap: TypeAlias = str | Mapping[str, str | int] | None
MaxMemory: TypeAlias = Mapping[str | int, str | int] | None


class Spread:
    """Puts models where the options say.

    Args:
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ...; of models that are not spread.
        device_map: None for that device; `auto` to fill one GPU after the other, then main memory,
            then the disk; `balanced` for like shares; or module -> device.
        max_memory: device -> bytes that weights may take there, for example `{0: 20GiB}`; None for
            three quarters of what is free.

    Raises:
        ConfigError: an option makes no sense, or a device is not there.
    """

    def __init__(
        self, device: str, device_map: DeviceMap = None, max_memory: MaxMemory = None
    ) -> None:
        if device_map is None and max_memory is not None:
            raise ConfigError(
                "max_memory says how much a spread model may take of each device; set "
                "evaluator.device_map=auto with it"
            )
        if device_map is not None and device != "auto":
            raise ConfigError(
                f"device_map spreads a model over devices, and device={device} puts it on one; set "
                "evaluator.device_map=null, or evaluator.device=auto and executor=local"
            )
        if isinstance(device_map, str) and device_map not in KINDS:
            raise ConfigError(
                f"device_map must be null, {', '.join(KINDS)} or a mapping of modules to devices, "
                f"got {device_map}; set evaluator.device_map"
            )
        self.device = device_of(device)
        self._wanted = device_map
        self._most = None if max_memory is None else _sizes(max_memory)
        if isinstance(device_map, Mapping):
            for where in device_map.values():
                _device(where)

    def put(self, model: Any, part: str = "") -> Any:
        """Move a transformers model, or the only part of it that is kept; return what was moved.

        Args:
            model: with all its parts, in main memory.
            part: its name in the model; empty for the whole.

        Raises:
            ConfigError: a module has no place, or what belongs together has several.
        """
        kept = model.get_submodule(part).eval()
        if self._wanted is None:
            return kept.to(self.device)
        places = self._places(model)
        before = f"{part}." if part else ""
        used = {f"{before}{name}".strip("."): module for name, module in kept.named_modules()}
        _check_whole(used, places, getattr(model, "_no_split_modules", None) or ())
        _check_tied(used, places)
        _move(used, places)
        _guide(kept, part, places)
        if not part:
            _bring_back(model)
        # As accelerate calls it; says that weights lie in several places.
        kept.hf_device_map = {name: str(where) for name, where in places.items()}
        log.info("the live model lies on %s", _told(used, places))
        return kept

    def _places(self, model: Any) -> dict[str, str]:
        """Return module -> `cpu`, `cuda:N` or `disk`."""
        if isinstance(self._wanted, Mapping):
            return {name: _device(where) for name, where in self._wanted.items()}
        from accelerate.utils import get_balanced_memory, get_max_memory, infer_auto_device_map

        whole = list(getattr(model, "_no_split_modules", None) or ())
        most = self._most or _room(get_max_memory())
        if self._wanted == "balanced":
            most = get_balanced_memory(
                model, max_memory=most, no_split_module_classes=whole, dtype=model.dtype
            )
        found = infer_auto_device_map(
            model, max_memory=most, no_split_module_classes=whole, dtype=model.dtype
        )
        return {name: _device(where) for name, where in found.items()}


def is_spread(model: Any) -> bool:
    """Whether a model's weights may lie in several places."""
    return getattr(model, "hf_device_map", None) is not None


def _sizes(given: Mapping[str | int, str | int]) -> dict[str | int, int]:
    """Return device -> bytes as accelerate wants it: numbers for GPUs."""
    from accelerate.utils import convert_file_size_to_int

    found: dict[str | int, int] = {}
    for key, size in given.items():
        device = _device(key)
        try:
            number = size if isinstance(size, int) else convert_file_size_to_int(size)
        except ValueError as error:
            raise ConfigError(
                f"max_memory must be bytes or a size such as 20GiB, got {size!r} for {key}; set "
                "evaluator.max_memory"
            ) from error
        found[int(device.partition(":")[2]) if device.startswith("cuda") else device] = number
    return found


def _room(free: Mapping[str | int, int]) -> dict[str | int, int]:
    """Return what weights may take of free memory; the rest is for activations and caches."""
    return {device: int(size * (1 - FREE)) for device, size in free.items()}


def _device(where: str | int) -> str:
    """Return a device of a map as torch names it, or `disk`.

    Raises:
        ConfigError: it is unknown, or not there.
    """
    name = f"cuda:{where}" if isinstance(where, int) or where.isdigit() else where
    if name in ("auto", ""):
        raise ConfigError(
            "device_map must name a device for each module: cpu, cuda:N or disk; set "
            "evaluator.device_map"
        )
    if name == DISK:
        return DISK
    found = device_of(name)
    return "cuda:0" if found == "cuda" else found


def _at(name: str, places: Mapping[str, str]) -> str:
    """Return where a module lies: what is said of it, or of the nearest module around it."""
    around = name
    while True:
        if around in places:
            return places[around]
        if not around:
            raise ConfigError(
                f"device_map says nothing of {name or 'the whole model'}; set "
                "evaluator.device_map, with '' for all that is not named"
            )
        around = around.rpartition(".")[0]


def _owned(modules: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each parameter and buffer of modules, with the module's name."""
    for name, module in modules.items():
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is not None:
                yield name, tensor


def _check_whole(
    modules: Mapping[str, Any], places: Mapping[str, str], whole: Collection[str]
) -> None:
    """Refuse a map that cuts a layer in two: its parts' results are added up in one place."""
    for name, module in modules.items():
        if type(module).__name__ in whole:
            inside = {f"{name}.{n}".strip("."): m for n, m in module.named_modules()}
            found = {_at(inner, places) for inner, _ in _owned(inside)}
            if len(found) > 1:
                raise ConfigError(
                    f"device_map cuts {name} in two ({', '.join(sorted(found))}), and a layer lies "
                    "in one place; set evaluator.device_map"
                )


def _check_tied(modules: Mapping[str, Any], places: Mapping[str, str]) -> None:
    known: dict[int, str] = {}
    for name, tensor in _owned(modules):
        first = known.setdefault(id(tensor), name)
        if _at(first, places) != _at(name, places):
            raise ConfigError(
                f"{first} and {name} share their weights, so they lie in one place; set "
                "evaluator.device_map"
            )


def _move(modules: Mapping[str, Any], places: Mapping[str, str]) -> None:
    """Give each parameter and buffer other memory; those that modules share stay shared."""
    done: set[int] = set()
    for name, tensor in _owned(modules):
        where = _at(name, places)
        if id(tensor) in done:
            continue
        done.add(id(tensor))
        if where != DISK:
            tensor.data = tensor.data.to(where)
        elif isinstance(tensor, nn.Parameter):
            tensor.data = _mapped(tensor.data)


def _mapped(tensor: torch.Tensor) -> torch.Tensor:
    """Return memory of a tensor's shape and type in a file, which is gone with the process."""
    size = max(1, tensor.nbytes)
    file, path = tempfile.mkstemp(prefix="evoforge_weights_")
    try:
        # Now: where a disk is full, writing to mapped memory would kill the process.
        os.posix_fallocate(file, 0, size)
        found = torch.from_file(path, shared=True, size=tensor.numel(), dtype=tensor.dtype)
    except OSError as error:
        raise ConfigError(
            f"there is no room for weights in {tempfile.gettempdir()} ({error.strerror}); set "
            "TMPDIR to a folder on a larger disk, or evaluator.max_memory"
        ) from error
    finally:
        os.close(file)
        Path(path).unlink()
    return found.view(tensor.shape)


def _guide(module: Any, name: str, places: Mapping[str, str]) -> None:
    """Let each largest module that lies in one place fetch what it is given."""
    found = {
        _torch(_at(f"{name}.{inner}".strip("."), places)) for inner, _ in _owned_within(module)
    }
    if not found:
        return
    if len(found) == 1 and not isinstance(module, LISTS):
        module.register_forward_pre_hook(_Fetch(found.pop()), with_kwargs=True)
        return
    for child_name, child in module.named_children():
        _guide(child, f"{name}.{child_name}".strip("."), places)


def _owned_within(module: Any) -> Iterator[tuple[str, Any]]:
    return _owned(dict(module.named_modules()))


def _torch(where: str) -> str:
    return "cpu" if where == DISK else where


class _Fetch:
    """Moves what a module is given to the device that it lies on."""

    def __init__(self, device: str) -> None:
        self._device = device

    def __call__(self, _: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return self._moved(given), self._moved(named)

    def _moved(self, given: Any) -> Any:
        if isinstance(given, torch.Tensor):
            return given.to(self._device)
        if type(given) in (tuple, list):
            return type(given)(self._moved(each) for each in given)
        if type(given) is dict:
            return {key: self._moved(value) for key, value in given.items()}
        return given  # caches of keys lie where their layers do


def _bring_back(model: Any) -> None:
    """Let a model speak where it is spoken to, wherever its last part lies."""
    head = model.get_output_embeddings()
    if head is not None:
        head.register_forward_hook(lambda *called: called[-1].to(model.device))


def _told(modules: Mapping[str, Any], places: Mapping[str, str]) -> str:
    """Return how much lies where."""
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    for name, tensor in _owned(modules):
        if id(tensor) not in seen:
            seen.add(id(tensor))
            where = _at(name, places)
            sizes[where] = sizes.get(where, 0) + tensor.nbytes
    return ", ".join(f"{where} ({size / 2**30:.1f} GiB)" for where, size in sizes.items())
