"""How merges are computed: cut into parts, on all cores, in float32, straight into their place.

There is one piece of code for each method, `TensorMerger.merge`, and two ways to run it. Small
models are merged operation by operation on parts that fit into the caches. For large ones
torch.compile makes one pass over memory out of it (C++ on a CPU, Triton on a GPU), which takes some
seconds once. Both give the same bits: all is done element by element, in the same order, and
neither contracts a product and a sum into one rounding.
"""

import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import torch

from evoforge.errors import ConfigError
from evoforge.merge._part import Numbers, Part, Whole, signed

log = logging.getLogger(__name__)

Merge = Callable[[Part], torch.Tensor]
# What a `Part` is made of, but not yet in float32: base, tensors, numbers, start.
Given = tuple[torch.Tensor | None, list[torch.Tensor], dict[str, torch.Tensor], torch.Tensor]
# Elements merged together, operation by operation: what fits into the caches of a core.
BLOCK = 1 << 17
# Elements merged in one pass of compiled code; places are counted in 32 bits.
PASS = 1 << 28
# Elements of a tensor that a method may be compiled for: the first one it meets tells the compiler
# whether threads are worth it for all.
SMALL = 1 << 14
# Weights of a model from which compiling pays for itself within some tens of candidates.
LARGE = 50_000_000
MODES = ("auto", "0", "1")


class Engine:
    """Runs one method's merge.

    Args:
        merge: makes the merged elements of a part; a function of the part alone.
        size: the number of weights of the model.

    Raises:
        ConfigError: EVOFORGE_COMPILE is none of auto, 0 and 1.
    """

    # Compiled code by what it was made of: equal keys, equal code.
    _known: ClassVar[dict[Any, Callable[..., None]]] = {}

    def __init__(self, merge: Merge, size: int, key: Any) -> None:
        self._merge = merge
        self._key = key
        self.compiles = _pays(size)

    def run(self, whole: Whole, numbers: Numbers, out: torch.Tensor) -> bool:
        """Merge one tensor; return whether it is finite everywhere.

        Args:
            whole: the tensor of every source.
            numbers: what to merge it with.
            out: where to write it: of the tensors' shape, any floating type, any device.
        """
        place = (
            out
            if out.is_contiguous()
            else torch.empty(out.shape, dtype=out.dtype, device=out.device)
        )
        size = PASS if self.compiles else BLOCK * max(1, torch.get_num_threads() // 2)
        ends: list[torch.Tensor] = []
        for given, part in _cut(whole, numbers, out.device, size):
            here = _view(place, numbers)[part]
            self._call(*given, here)
            ends += torch.aminmax(here)
        if place is not out:
            out.copy_(place)
        return all(math.isfinite(end) for end in torch.stack(ends).tolist()) if ends else True

    def _call(
        self,
        base: torch.Tensor | None,
        tensors: Sequence[torch.Tensor],
        numbers: Numbers,
        start: torch.Tensor,
        out: torch.Tensor,
    ) -> None:
        known = self._key in Engine._known
        if not self.compiles or (not known and out.numel() < SMALL):
            self._plain(base, tensors, numbers, start, out)
            return
        if not known:
            Engine._known[self._key] = _compiled(self._plain)
        # One row alone would be compiled for anew, so it is merged twice.
        alone = out.ndim > 1 and len(out) == 1
        place = out.repeat(2, 1) if alone else out

        def given(tensor: torch.Tensor) -> torch.Tensor:
            # Not as the view it is, whose shape would be compiled for as well.
            twice = alone and tensor.ndim > 1 and tensor.shape[-2] == 1
            return tensor.repeat(2, 1) if twice else tensor.detach()

        try:
            Engine._known[self._key](
                None if base is None else given(base),
                [given(tensor) for tensor in tensors],
                {name: given(n) if n.ndim > 1 else n for name, n in numbers.items()},
                start,
                place.detach(),
            )
            if alone:
                out.copy_(place[:1])
        except _failures() as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            log.warning("merging without compiled code, which is slower: %s", reason)
            self.compiles = False
            self._plain(base, tensors, numbers, start, out)

    def _plain(
        self,
        base: torch.Tensor | None,
        tensors: Sequence[torch.Tensor],
        numbers: Numbers,
        start: torch.Tensor,
        out: torch.Tensor,
    ) -> None:
        """Merge a part into its place."""
        out.copy_(self._merge(_part(base, tensors, numbers, start)))


def parts(whole: Whole, numbers: Numbers) -> Iterator[Part]:
    """Yield a tensor's elements in parts of a fixed size, for sums over them."""
    for given, _ in _cut(whole, numbers, whole.tensors[0].device, BLOCK):
        yield _part(*given)


def _part(
    base: torch.Tensor | None,
    tensors: Sequence[torch.Tensor],
    numbers: Numbers,
    start: torch.Tensor,
) -> Part:
    floats = [tensor.float() for tensor in tensors]
    return Part(None if base is None else base.float(), floats, numbers, start)


def _cut(
    whole: Whole, numbers: Numbers, device: torch.device, size: int
) -> Iterator[tuple[Given, slice]]:
    """Yield what `Part` is made of for each part of a tensor, and which part it is."""
    views = [_view(tensor.to(device), numbers) for tensor in whole.tensors]
    base = None if whole.base is None else _view(whole.base.to(device), numbers)
    moved = {name: number.to(device) for name, number in numbers.items()}
    width = views[0].shape[1] if views[0].ndim > 1 else 1
    step = max(1, size // max(1, width))
    for first in range(0, len(views[0]), step):
        if step >= len(views[0]):  # as most are, and slicing takes longer than small merges
            yield (
                (base, views, moved, torch.zeros((), dtype=torch.int32, device=device)),
                slice(None),
            )
            return
        part = slice(first, first + step)
        given = (
            None if base is None else base[part],
            [view[part] for view in views],
            {name: _rows(number, len(views[0]), part) for name, number in moved.items()},
            torch.tensor(signed(first * width), dtype=torch.int32, device=device),
        )
        yield given, part


def _rows(number: torch.Tensor, rows: int, part: slice) -> torch.Tensor:
    """Return a part's rows of a number that has them."""
    return number[..., part, :] if number.ndim > 1 and number.shape[-2] == rows else number


def _view(tensor: torch.Tensor, numbers: Numbers) -> torch.Tensor:
    """Return a tensor as parts are cut from it: flat, or in rows if a number has rows."""
    has_rows = any(number.ndim > 1 for number in numbers.values())
    return by_rows(tensor) if has_rows else tensor.reshape(-1)


def by_rows(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor as (rows, columns); one with one dimension is one row."""
    return tensor.reshape(-1, tensor.shape[-1]) if tensor.ndim > 1 else tensor.reshape(1, -1)


def _pays(size: int) -> bool:
    mode = os.environ.get("EVOFORGE_COMPILE", "auto")
    if mode not in MODES:
        raise ConfigError(
            f"the environment's EVOFORGE_COMPILE must be one of {', '.join(MODES)}, got {mode}"
        )
    if mode != "auto":
        return mode == "1"
    has_compiler = any(shutil.which(os.environ.get("CXX", c)) for c in ("g++", "clang++", "cl"))
    return size >= LARGE and (has_compiler or torch.cuda.is_available())


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function as compiled code for tensors of any shape."""
    import torch._dynamo
    import torch._inductor.config

    # One method is compiled once for each number of sources and each type of tensors.
    torch._dynamo.config.recompile_limit = max(256, torch._dynamo.config.recompile_limit)
    log.info("compiling the merge: some seconds, once")
    # Code is kept between runs, for as many threads as it was made with unless these are named.
    # By default the compiler writes what is long, or used often, into memory and reads it again.
    never = 1 << 30
    options: dict[str, Any] = {
        "cpp.threads": torch.get_num_threads(),
        "emulate_precision_casts": True,
        "eager_numerics.division_rounding": True,
        "realize_opcount_threshold": never,
        "realize_reads_threshold": never,
        "realize_acc_reads_threshold": never,
    }
    made: Callable[..., None] = torch.compile(function, dynamic=True, options=options)
    return made


def _failures() -> tuple[type[Exception], ...]:
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import CppCompileError

    # The last for folders of compiled code that cannot be written.
    return TorchDynamoException, CppCompileError, OSError
