"""Where each tensor of a checkpoint goes in the model that transformers builds.

Checkpoints and models do not always agree: names differ (`embed_out` is `lm_head` in memory), and
the experts of a layer are one fused parameter in memory and a tensor each in the checkpoint. What
goes where is asked of transformers itself, by saving a model without weights: its own conversion
turns parameters into the checkpoint's tensors, and each of those then tells which part of which
parameter it is. No list of architectures is kept here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from evoforge.errors import ConfigError


@dataclass(frozen=True)
class Slot:
    """A part of a parameter: a view that can be made of any copy of it.

    Args:
        parameter: the parameter's or buffer's name in the model.
        shape: of the view.
        strides: of the view, in elements of the contiguous parameter.
        offset: of the view's first element.
    """

    parameter: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the view of a parameter; writing to it writes to the parameter."""
        # A square matrix and its transposed view have one shape, and differ in their strides.
        own = (tuple(tensor.shape), tensor.stride(), 0)
        if (self.shape, self.strides, self.offset) == own:
            return tensor
        start = tensor.storage_offset() + self.offset
        return tensor.detach().as_strided(self.shape, self.strides, start)


class _Traced(torch.Tensor):
    """A tensor without data whose parts stay views, so that they tell where they lie."""

    @classmethod
    def __torch_function__(
        cls,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        # A copy in another order would forget what it is a copy of.
        if func is torch.Tensor.contiguous:
            return args[0]
        return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]


def find_slots(model: Any, names: Iterable[str], owner: str) -> dict[str, Slot]:
    """Return where the tensors of a checkpoint go in a model.

    Args:
        model: a transformers model; its weights are not looked at.
        names: of the tensors, as in the checkpoint.
        owner: the source whose checkpoint it is, for errors.

    Raises:
        ConfigError: a tensor is not the model's, or is made of the model's in a way that cannot be
            written in place; or the checkpoint leaves a part of the model unwritten.
    """
    found = {}
    for name, slot in look_up(model, names).items():
        if slot is None:
            raise ConfigError(not_of(owner, name, type(model).__name__))
        found[name] = slot
    if missing := unfilled(model, found.values()):
        raise ConfigError(not_in(owner, missing, type(model).__name__))
    return found


def look_up(model: Any, names: Iterable[str]) -> dict[str, Slot | None]:
    """Return where tensors go in a model; None for such as it has not, or not in place.

    Args:
        model: a transformers model; its weights are not looked at.
        names: of tensors, as in a checkpoint or as they are called in memory.
    """
    given = model.state_dict(keep_vars=True)
    saved = _saved(model, given)
    return {name: saved[name] if name in saved else _renamed(model, given, name) for name in names}


def saved_name(model: Any, parameter: str) -> str | None:
    """Return what transformers calls a parameter in a checkpoint; None where it is none whole."""
    given = model.state_dict(keep_vars=True)
    for name, slot in _saved(model, given).items():
        if slot is not None and slot.parameter == parameter and slot.offset == 0:
            return name
    return None


def not_of(owner: str, name: str, kind: str) -> str:
    """Return the sentence for a tensor that a class of transformers has not."""
    return (
        f"{owner} has the tensor {name}, which {kind} of transformers has not, or not in a way "
        "that can be written in place; evoforge cannot merge this architecture yet"
    )


def not_in(owner: str, name: str, kind: str) -> str:
    """Return the sentence for a tensor that a checkpoint has not."""
    return f"{owner} has no tensor {name}, which {kind} needs; copy or download the model again"


def unfilled(model: Any, slots: Iterable[Slot]) -> str | None:
    """Return the name of a parameter that the slots do not fill, or None."""
    filled: dict[str, int] = {}
    for slot in set(slots):
        size = torch.Size(slot.shape).numel()
        filled[slot.parameter] = filled.get(slot.parameter, 0) + size
    # A tied weight is listed once here, and may be filled under its other name.
    state = model.state_dict(keep_vars=True)
    whole = {id(state[name]) for name, size in filled.items() if size >= state[name].numel()}
    for name, parameter in model.named_parameters():
        if id(parameter) not in whole:
            return str(name)
    return None


@torch.inference_mode(False)  # in which views forget what they are views of
def _saved(model: Any, given: Mapping[str, torch.Tensor]) -> dict[str, Slot | None]:
    """Return the tensors that transformers would save; None where one is no view of the model's."""
    from transformers.core_model_loading import revert_weight_conversion

    empty = {
        name: torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
        for name, tensor in given.items()
    }
    # Every view knows the tensor that it is a view of, however often it was cut.
    owner = {id(tensor): name for name, tensor in empty.items()}
    traced = {name: tensor.as_subclass(_Traced) for name, tensor in empty.items()}
    found: dict[str, Slot | None] = {}
    for name, tensor in revert_weight_conversion(model, traced).items():
        origin = owner.get(id(tensor._base))
        found[name] = None
        if origin is not None and given[origin].is_contiguous():
            place = int(tensor.storage_offset())
            found[name] = Slot(origin, tuple(tensor.shape), tensor.stride(), place)
    return found


def _renamed(model: Any, given: Mapping[str, torch.Tensor], name: str) -> Slot | None:
    """Return the slot of a name that transformers reads but does not write any more."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    known = get_model_conversion_mapping(model)
    renamings = [entry for entry in known if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in known if isinstance(entry, WeightConverter)]
    target, converted = rename_source_key(
        name,
        renamings,
        converters,
        base_model_prefix=model.base_model_prefix,
        meta_state_dict=given,
    )
    if converted is not None or target not in given:
        return None
    tensor = given[target]
    return Slot(target, tuple(tensor.shape), tensor.stride(), 0)
